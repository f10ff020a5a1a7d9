# SPDX-License-Identifier: GPL-2.0-only
"""Headers unpacked from the kernel, in a folder that other users can create as well."""

import os
import platform
import tarfile
from pathlib import Path

import pytest

from fdscope.probes.kernel import kheaders


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Make a small archive of headers."""
    header = tmp_path / "kconfig.h"
    header.write_text("#define CONFIG_X 1\n")
    with tarfile.open(tmp_path / "kheaders.tar.xz", "w:xz") as made:
        made.add(header, "include/linux/kconfig.h")
    return tmp_path / "kheaders.tar.xz"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Make a folder like /tmp."""
    (tmp_path / "tmp").mkdir()
    return tmp_path / "tmp"


def folder_in(place: Path) -> Path:
    return place / f"kheaders-{platform.release()}"


def test_it_is_made_once(archive: Path, place: Path) -> None:
    kheaders.unpack(archive, place)
    assert (folder_in(place) / "include/linux/kconfig.h").read_text() == "#define CONFIG_X 1\n"
    archive.unlink()
    kheaders.unpack(archive, place)
    assert list(place.iterdir()) == [folder_in(place)]


def test_a_link_of_somebody_is_refused(archive: Path, place: Path, tmp_path: Path) -> None:
    folder_in(place).symlink_to(tmp_path)
    with pytest.raises(PermissionError, match="was made by another user"):
        kheaders.unpack(archive, place)


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_folder_that_others_write_to_is_refused(archive: Path, place: Path, mode: int) -> None:
    folder_in(place).mkdir()
    folder_in(place).chmod(mode)
    with pytest.raises(PermissionError, match="remove it"):
        kheaders.unpack(archive, place)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_folder_of_somebody_else_is_refused(archive: Path, place: Path) -> None:
    folder_in(place).mkdir()
    os.chown(folder_in(place), 65534, 65534)
    with pytest.raises(PermissionError, match="remove it"):
        kheaders.unpack(archive, place)
