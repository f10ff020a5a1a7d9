# SPDX-License-Identifier: GPL-2.0-only
"""A part of the version 2 cgroup hierarchy that a test may do with as it likes."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_PATIENCE_SECONDS = 30.0


def hierarchy() -> Path | None:
    """Where the version 2 hierarchy is mounted; None if it is not."""
    for line in Path("/proc/self/mountinfo").read_bytes().split(b"\n"):
        mount, _, filesystem = line.partition(b" - ")
        if filesystem.startswith(b"cgroup2 "):
            return Path(os.fsdecode(mount.split(b" ")[4]))
    return None


class Subtree:
    """A cgroup of the test's own; names are bytes, paths may be longer than PATH_MAX."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def make(self, *names: bytes | str) -> bytes:
        """Make cgroups, one in the other; the path of the innermost."""
        path = os.fsencode(self.path)
        for name in names:
            path += b"/" + os.fsencode(name)
            os.mkdir(path)  # noqa: PTH102 - bytes
        return path

    def deep(self, levels: int, name: bytes = b"d", last: bytes = b"") -> int:
        """Make so many cgroups, one in the other; a descriptor of the innermost."""
        at = os.open(self.path, os.O_PATH | os.O_DIRECTORY)
        for level in range(levels):
            inner = last if last and level == levels - 1 else name
            os.mkdir(inner, dir_fd=at)
            below = os.open(inner, os.O_PATH | os.O_DIRECTORY, dir_fd=at)
            os.close(at)
            at = below
        return at

    def remove(self) -> None:
        """End every process in it, then remove it; AssertionError if it stays."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                _remove(self.path)
            except OSError:
                assert time.monotonic() < deadline, f"{self.path} cannot be removed"
                time.sleep(0.05)
            else:
                return


def join(cgroup: bytes | str | Path | int, pid: int) -> None:
    """Move a process into a cgroup, which is a path or a descriptor."""
    if isinstance(cgroup, int):
        target = os.open("cgroup.procs", os.O_WRONLY, dir_fd=cgroup)
    else:
        target = os.open(os.fsencode(cgroup) + b"/cgroup.procs", os.O_WRONLY)
    try:
        os.write(target, str(pid).encode())
    finally:
        os.close(target)


def remove_empty(path: bytes) -> None:
    """Remove a cgroup whose last process is ending; AssertionError if it stays."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            os.rmdir(path)  # noqa: PTH106 - bytes
        except OSError:
            assert time.monotonic() < deadline, f"{path!r} cannot be removed"
            time.sleep(0.005)
        else:
            return


@contextlib.contextmanager
def subtree(name: str, owner: int = 0) -> Iterator[Subtree]:
    """Make a cgroup at the root of the hierarchy, as ``owner``'s, and remove it at the end."""
    root = hierarchy()
    if root is None:
        pytest.skip("this machine has no version 2 cgroup hierarchy")
    path = root / f"{name}-{os.getpid()}"
    path.mkdir()
    made = Subtree(path)
    try:
        if owner:
            for file in (path, *(path / f"cgroup.{x}" for x in ("procs", "threads"))):
                os.chown(file, owner, owner)
        yield made
    finally:
        made.remove()


def _remove(root: Path) -> None:
    """Kill and remove, level by level, without recursion or paths; OSError if it is busy."""
    at = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    way: list[bytes] = []
    try:
        while True:
            os.fchmod(at, 0o755)
            inner = next((name for name in _children(at) if not _gone(name, at)), None)
            if inner is not None:
                way.append(inner)
                at = _move(at, inner)
            elif not way:
                _kill(at)
                break
            else:
                _kill(at)
                at = _move(at, b"..")
                os.rmdir(way.pop(), dir_fd=at)
    finally:
        os.close(at)
    root.rmdir()


def _move(at: int, name: bytes) -> int:
    moved = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=at)
    os.close(at)
    return moved


def _children(at: int) -> list[bytes]:
    with os.scandir(at) as entries:
        return [os.fsencode(entry.name) for entry in entries if entry.is_dir(follow_symlinks=False)]


def _gone(name: bytes, at: int) -> bool:
    """Remove a cgroup that has nothing in it."""
    try:
        os.rmdir(name, dir_fd=at)
    except OSError:
        return False
    return True


def _kill(at: int) -> None:
    procs = os.open("cgroup.procs", os.O_RDONLY, dir_fd=at)
    with os.fdopen(procs) as listing:
        for line in listing:
            if pid := int(line):  # 0 stands for one that this pid namespace does not have
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
