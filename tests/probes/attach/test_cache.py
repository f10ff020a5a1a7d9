# SPDX-License-Identifier: GPL-2.0-only
"""What is kept of compiled programs comes back as it was, or not at all."""

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fdscope.probes.attach import cache
from fdscope.probes.attach.cache import Cache, CacheError
from fdscope.probes.attach.objects import Map, Object, ObjectError

NAME = "0" * 64
RETURN = struct.pack("<BBhi", 0x95, 0, 0, 0)


def load_of_map(kind: int, place: int) -> bytes:
    """r1 = the map in this place."""
    return struct.pack("<BBhi", 0x18, kind << 4 | 1, 0, place) + bytes(8)


MAPS = tuple(Map(name, 1, 4, 8, 16, 0) for name in ("first", "second"))
PROGRAM = load_of_map(1, 1) + load_of_map(0, 1) + load_of_map(2, 0) + RETURN
COMPILED = Object("0.26.0", MAPS, {"program": PROGRAM, "other": RETURN})


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory on a way that only root can change: that of pytest is below /tmp."""
    if os.geteuid():
        pytest.skip("only root can make a directory that only root can write to")
    path = Path("/run") / f"fdscope-test-{os.getpid()}"
    path.mkdir(mode=0o700)
    try:
        yield path
    finally:
        for file in sorted(path.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink()
        path.rmdir()


def entry(place: Path) -> Path:
    """The one file that is kept."""
    (file,) = place.glob("*.bpf")
    return file


def test_what_was_kept_comes_back(place: Path) -> None:
    Cache(place / "new").put(NAME, COMPILED)
    assert Cache(place / "new").get(NAME) == COMPILED
    assert Cache(place / "new").get("1" * 64) is None
    assert (place / "new").stat().st_mode & 0o777 == 0o700
    assert entry(place / "new").stat().st_mode & 0o777 == 0o600


def test_nothing_is_kept_where_there_is_nothing(place: Path) -> None:
    assert Cache(place / "none").get(NAME) is None
    assert not (place / "none").exists()
    with pytest.raises(CacheError, match="is not there"):
        Cache(place / "none" / "below").put(NAME, COMPILED)


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _replace_by_link(file: Path) -> None:
    file.rename(file.with_suffix(".kept"))
    file.symlink_to(file.with_suffix(".kept"))


def _replace_by_fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _replace_by_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    "harm",
    [
        _truncate,
        _flip,
        lambda file: file.write_bytes(b""),
        lambda file: file.chmod(0o620),
        lambda file: file.chmod(0o602),
        lambda file: os.chown(file, 65534, 0),
        lambda file: os.link(file, file.with_suffix(".second")),
        lambda file: os.truncate(file, 17 << 20),
        _replace_by_fifo,
        _replace_by_link,
        _replace_by_directory,
        lambda file: file.parent.chmod(0o770),
        lambda file: file.parent.chmod(0o707),
        lambda file: os.chown(file.parent, 65534, 0),
    ],
)
def test_what_others_could_have_changed_is_not_used(
    place: Path, harm: Callable[[Path], object]
) -> None:
    Cache(place).put(NAME, COMPILED)
    harm(entry(place))
    with pytest.raises(CacheError):
        Cache(place).get(NAME)


def test_a_damaged_entry_is_replaced(place: Path) -> None:
    Cache(place).put(NAME, COMPILED)
    _flip(entry(place))
    Cache(place).put(NAME, COMPILED)
    assert Cache(place).get(NAME) == COMPILED


def test_every_part_of_the_way_counts(place: Path) -> None:
    middle = place / "middle"
    middle.mkdir(mode=0o700)
    Cache(middle / "cache").put(NAME, COMPILED)
    (place / "link").symlink_to(middle)
    with pytest.raises(CacheError, match="link"):
        Cache(place / "link" / "cache").get(NAME)
    middle.chmod(0o777)
    with pytest.raises(CacheError, match="others can write"):
        Cache(middle / "cache").get(NAME)


@pytest.mark.parametrize("path", ["relative", "/run/../run/fdscope"])
def test_only_a_plain_absolute_path_is_taken(path: str) -> None:
    with pytest.raises(CacheError, match="no absolute path"):
        Cache(Path(path)).get(NAME)


def test_the_number_of_entries_is_bounded(place: Path) -> None:
    names = [f"{number:064}" for number in range(12)]
    (place / "left.1.new").touch()
    for seconds, name in enumerate(names):
        Cache(place).put(name, COMPILED)
        os.utime(place / f"{name}.bpf", (seconds, seconds))
    left = {file.name for file in place.iterdir()}
    assert left == {f"{name}.bpf" for name in names[-8:]}


def test_the_directory_is_that_of_systemd_or_roots(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache.directory({"CACHE_DIRECTORY": "/var/cache/a:/var/cache/b"}) == Path("/var/cache/a")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert cache.directory({}) == cache.DIRECTORY
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cache.directory({}) is None


def test_the_maps_of_a_program_are_put_in_where_it_names_them() -> None:
    wanted = load_of_map(1, 70) + load_of_map(0, 1) + load_of_map(2, 50) + RETURN
    assert COMPILED.instructions("program", [50, 70]) == wanted
    with pytest.raises(ObjectError, match="no program none"):
        COMPILED.instructions("none", [50, 70])


@pytest.mark.parametrize(
    "program", [load_of_map(1, 2) + RETURN, load_of_map(1, -1), load_of_map(4, 0), RETURN[:-1]]
)
def test_a_program_that_is_not_understood_is_refused(program: bytes) -> None:
    with pytest.raises(ObjectError):
        Object.of_text(Object("", MAPS, {"program": program}).text())


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b"null",
        b"[" * 100_000,
        b'{"compiler":"","maps":[{}],"programs":{}}',
        b'{"compiler":"","maps":[],"programs":[]}',
        b'{"compiler":1,"maps":[],"programs":{}}',
        b'{"compiler":"","maps":[{"name":"a","kind":1,"key_bytes":4,"value_bytes":"8",'
        b'"entries":1,"flags":0}],"programs":{}}',
        b'{"compiler":"","maps":[],"programs":{"a":"?"}}',
        b'{"compiler":"","maps":[],"programs":{"a":1}}',
    ],
)
def test_other_text_is_no_object(text: bytes) -> None:
    with pytest.raises(ObjectError):
        Object.of_text(text)
