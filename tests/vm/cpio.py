# SPDX-License-Identifier: GPL-2.0-only
"""A deterministic writer of cpio archives in the "newc" form that Linux unpacks at boot."""

import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

ALIGNMENT = 4
BLOCK = 512
TRAILER = "TRAILER!!!"


@dataclass(slots=True)
class CpioWriter:
    """Writes entries owned by root, with modification time 0.

    Several archives may follow each other in one initramfs: each is padded to
    whole blocks. A directory entry replaces a symbolic link of the same name
    that an earlier archive made, so never name `lib` or `bin` in a later one.
    """

    stream: BinaryIO
    inode: int = 0
    written: int = 0
    directories: set[str] = field(default_factory=set)

    def _put(self, data: bytes) -> None:
        self.stream.write(data)
        self.written += len(data)

    def _pad(self, multiple: int) -> None:
        self._put(b"\0" * (-self.written % multiple))

    def _header(self, name: str, mode: int, size: int, device: tuple[int, int]) -> None:
        self.inode += 1
        encoded = os.fsencode(name) + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        numbers = (self.inode, mode, 0, 0, links, 0, size, 0, 0, *device, len(encoded), 0)
        self._put(b"070701" + b"".join(b"%08X" % number for number in numbers) + encoded)
        self._pad(ALIGNMENT)

    def entry(
        self, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)
    ) -> None:
        """Add one entry; `mode` holds the file type bits and the permissions."""
        self._parents(name)
        self._header(name, mode, len(data), device)
        self._put(data)
        self._pad(ALIGNMENT)

    def file(self, name: str, data: bytes, permissions: int = 0o644) -> None:
        """Add a regular file with the given content."""
        self.entry(name, stat.S_IFREG | permissions, data)

    def path(self, source: Path, name: str) -> None:
        """Add the file at `source` (not the content of a directory) under `name`."""
        status = source.lstat()
        if stat.S_ISREG(status.st_mode):
            self._regular(source, name, status)
        elif stat.S_ISLNK(status.st_mode):
            self.entry(name, status.st_mode, os.fsencode(source.readlink()))
        elif stat.S_ISDIR(status.st_mode):
            self._directory(name, status.st_mode)
        elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
            device = (os.major(status.st_rdev), os.minor(status.st_rdev))
            self.entry(name, status.st_mode, device=device)

    def _regular(self, source: Path, name: str, status: os.stat_result) -> None:
        self._parents(name)
        self._header(name, status.st_mode, status.st_size, (0, 0))
        with source.open("rb") as handle:
            shutil.copyfileobj(handle, self.stream, 1 << 20)
        self.written += status.st_size
        self._pad(ALIGNMENT)

    def _directory(self, name: str, mode: int) -> None:
        if name not in self.directories:
            self.directories.add(name)
            self.entry(name, mode)

    def _parents(self, name: str) -> None:
        parent = os.path.dirname(name)  # noqa: PTH120 - a name in the archive, not a path here
        if parent:
            self._directory(parent, stat.S_IFDIR | 0o755)

    def tree(self, root: Path, *, keep: Callable[[str], bool] = lambda _: True) -> None:
        """Add all below `root` in sorted order, except names that `keep` refuses."""
        for folder, folders, files in os.walk(root):
            folders.sort()
            for leaf in sorted([*folders, *files]):
                source = Path(folder, leaf)
                name = str(source.relative_to(root))
                if keep(name):
                    self.path(source, name)

    def close(self) -> None:
        """Write the end mark and fill up the last block; the stream stays open."""
        self._header(TRAILER, 0, 0, (0, 0))
        self._pad(BLOCK)
