# SPDX-License-Identifier: GPL-2.0-only
"""From a cgroup's id to the systemd unit or container that it stands for."""

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")

_CONTAINER_ID = re.compile(r"(?<![0-9a-f])([0-9a-f]{12})[0-9a-f]{52}(?![0-9a-f])")
_UNIT_SUFFIXES = (".service", ".scope", ".socket", ".mount", ".swap")
_RESCAN_SECONDS = 2.0


def unit_of_path(path: str) -> str:
    """Container id (its first 12 digits) or the innermost systemd unit of a cgroup path, or ""."""
    container = _CONTAINER_ID.findall(path)
    if container:
        return str(container[-1])
    parts = reversed(path.split("/"))
    return next((part for part in parts if part.endswith(_UNIT_SUFFIXES)), "")


def hierarchy(mountinfo: Path = MOUNTS) -> Path | None:
    """Where the version 2 hierarchy is mounted; None if it is not."""
    for line in mountinfo.read_text().splitlines():
        mount, _, filesystem = line.partition(" - ")
        if filesystem.startswith("cgroup2 "):
            return Path(mount.split()[4])
    return None


def _walk(directory: str, path: str) -> Iterator[tuple[int, str]]:
    try:
        entries = [entry for entry in os.scandir(directory) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return  # removed while we looked
    for entry in entries:
        inner = f"{path}/{entry.name}"
        yield entry.inode(), inner
        yield from _walk(entry.path, inner)


class Units:
    """Remembers the unit of each cgroup id, and scans the hierarchy when it meets a new one."""

    def __init__(self, root: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._clock = clock
        self._scanned = float("-inf")
        self._units: dict[int, str] = {}

    def unit(self, cgroup_id: int) -> str:
        """The unit or container; "" for the root cgroup and for one that is gone."""
        if cgroup_id not in self._units and self._clock() - self._scanned >= _RESCAN_SECONDS:
            self._scan()
        return self._units.get(cgroup_id, "")

    def _scan(self) -> None:
        self._scanned = self._clock()
        if self._root is not None:
            self._units = {inode: unit_of_path(path) for inode, path in _walk(str(self._root), "")}
            self._units[self._root.stat().st_ino] = ""
