# SPDX-License-Identifier: GPL-2.0-only
"""The data folder of ``make run``: no other user may have put a link there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import DEPLOY

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def prepared(folder: Path, create: str = "") -> "subprocess.CompletedProcess[str]":
    """Prepare a folder, and write to a file in it."""
    code = (
        f"import sys; sys.path.insert(0, {str(DEPLOY / 'run')!r})\n"
        "import data; from pathlib import Path\n"
        f"data.prepare(Path({str(folder)!r}), Path({str(DEPLOY.parent)!r}))\n"
        f"data.create(Path({str(folder)!r}) / {create or 'file'!r})\n"
    )
    return subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)


def test_a_folder_of_ours(tmp_path: Path) -> None:
    done = prepared(tmp_path / "a/b")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "a/b/file").read_bytes() == b""


def test_a_link_to_a_file(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/run.lock").symlink_to(victim)
    done = prepared(tmp_path / "data", "run.lock")
    assert "RunError: cannot write" in done.stderr
    assert victim.read_text() == "kept"


def test_a_link_to_a_folder(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "elsewhere")
    assert "is a link: name the folder itself" in prepared(tmp_path / "data").stderr


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775])
def test_a_folder_that_others_may_write_to(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(mode)
    assert "others may write to it" in prepared(folder).stderr


def test_below_such_a_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    assert "others may write to it" in prepared(tmp_path / "data").stderr
    tmp_path.chmod(0o1777)
    assert prepared(tmp_path / "data").stderr == ""


@as_root
def test_a_folder_of_somebody_else(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    os.chown(folder, 65534, 65534)
    assert "belongs to another user" in prepared(folder).stderr
