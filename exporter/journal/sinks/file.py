# SPDX-License-Identifier: GPL-2.0-only
"""A file as a sink: private, rotated by size, for one exporter at a time.

``NAME`` is the newest; ``NAME.1`` to ``NAME.n`` are older.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from fdscope.exporter.journal.sinks.outlet import Line

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_MODE = 0o600


def rotated(path: Path, number: int) -> Path:
    """The file that is ``number`` rotations old."""
    return Path(f"{path}.{number}") if number else path


class FileSink:
    """Appends whole lines to a file that nobody else can read."""

    name = "file"

    def __init__(self, path: Path, most_bytes: int, kept: int) -> None:
        """``kept``: how many older files. Nothing is opened before the first write."""
        self._path = path
        self._most_bytes = most_bytes
        self._kept = kept
        self._fd: int | None = None

    def write(self, lines: Sequence[Line]) -> int:
        """Append them; how many fitted. OSError if the file cannot be used, with the reason.

        What is written of a line that does not fit is removed again.
        """
        written = 0
        for line in lines:
            data = f"{line.text}\n".encode()
            try:
                self._append(data)
            except OSError:
                if not written:
                    raise
                break
            written += 1
        return written

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
        self._fd = None

    def _append(self, data: bytes) -> None:
        fd = self._current()
        size = os.fstat(fd).st_size
        if size and size + len(data) > self._most_bytes:
            self._rotate()
            fd, size = self._current(), 0
        done = 0
        try:
            while done < len(data):
                done += os.write(fd, data[done:])
        except OSError:
            if done:
                os.ftruncate(fd, size)
            raise

    def _current(self) -> int:
        """The descriptor; opened again if somebody has moved or removed the file."""
        if self._fd is not None and not self._is_in_place(self._fd):
            self.close()
        if self._fd is None:
            self._fd = self._opened()
        return self._fd

    def _is_in_place(self, fd: int) -> bool:
        ours = os.fstat(fd)
        try:
            there = self._path.lstat()
        except OSError:
            return False
        return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)

    def _opened(self) -> int:
        try:
            fd = os.open(self._path, _FLAGS, _MODE)
        except OSError as error:
            why = "a symbolic link" if error.errno == errno.ELOOP else error.strerror
            raise OSError(error.errno, f"{self._path}: {why}") from error
        try:
            self._check(fd)
        except OSError:
            os.close(fd)
            raise
        return fd

    def _check(self, fd: int) -> None:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise OSError(errno.EINVAL, f"{self._path}: not a file with one name")
        if status.st_uid != os.geteuid():
            raise OSError(errno.EPERM, f"{self._path}: it belongs to another user")
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            text = f"{self._path}: another exporter writes to it"
            raise OSError(errno.EBUSY, text) from error
        os.fchmod(fd, _MODE)
        # A line that was cut by a crash gets an end.
        if status.st_size and os.pread(fd, 1, status.st_size - 1) != b"\n":
            os.write(fd, b"\n")

    def _rotate(self) -> None:
        self.close()
        for number in range(self._kept, 0, -1):
            older = rotated(self._path, number - 1)
            if older.exists():
                older.rename(rotated(self._path, number))
        if not self._kept:
            self._path.unlink(missing_ok=True)
