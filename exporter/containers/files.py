# SPDX-License-Identifier: GPL-2.0-only
"""Files of others, read with rights that others do not have: nothing leads out of their folder.

Whoever may write to a folder of state can put anything there: a link to a secret, a FIFO, a file
without an end, JSON without an end. What is refused has no effect but a name that is missing.
"""

import ctypes
import errno
import json
import os
import stat
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

_SYS_OPENAT2 = 437
"""The same on all architectures since Linux 5.6."""
_NO_XDEV, _NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 1, 2, 4, 8
"""RESOLVE_* of include/uapi/linux/openat2.h."""
_libc = ctypes.CDLL(None, use_errno=True)

Version = tuple[int, int, int]
"""Inode, time of the last change and size: another content has another version."""


class StateError(Exception):
    """A file that is there and is not what it should be."""


class _How(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def _open_beneath(folder: int, path: str) -> int:
    """Open a file for reading, by a way of real folders of one filesystem; OSError."""
    how = _How(
        os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC,
        0,
        _NO_XDEV | _NO_MAGICLINKS | _NO_SYMLINKS | _BENEATH,
    )
    name = ctypes.c_char_p(os.fsencode(path))
    while True:
        fd = _libc.syscall(_SYS_OPENAT2, folder, name, ctypes.byref(how), ctypes.sizeof(how))
        if fd >= 0:
            return int(fd)
        number = ctypes.get_errno()
        if number not in (errno.EINTR, errno.EAGAIN):
            raise OSError(number, os.strerror(number), path)


def read(folder: Path, path: str, most: int, owners: Collection[int]) -> tuple[bytes, Version]:
    """The bytes of a regular file below a folder, and its version.

    OSError if it cannot be opened; StateError if it is no regular file of one of the owners (user
    ids), is larger than ``most`` bytes, or was reached through a link.
    """
    base = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = _open_beneath(base, path)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EXDEV, errno.ENXIO):  # a link, a mount, a socket
            raise StateError(f"{path}: {error.strerror}") from error
        raise
    finally:
        os.close(base)
    with open(fd, "rb") as file:  # noqa: PTH123 - a descriptor
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid not in owners:
            raise StateError(f"{path}: not a regular file of its owner")
        content = file.read(most + 1)
    if len(content) > most:
        raise StateError(f"{path}: larger than {most} bytes")
    return content, (found.st_ino, found.st_mtime_ns, found.st_size)


def names_in(folder: Path, most: int) -> Iterator[str]:
    """The names in a folder, at most so many; OSError if it cannot be read."""
    with os.scandir(folder) as entries:
        yield from (entry.name for entry in islice(entries, most))


def parse(content: bytes) -> Any:
    """The value of a JSON text; StateError unless it is strictly JSON, without a name twice."""
    try:
        return json.loads(
            content.decode(), object_pairs_hook=_without_repeats, parse_constant=_refuse
        )
    except (ValueError, RecursionError) as error:
        raise StateError(f"not valid JSON: {type(error).__name__}") from error


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a name twice")
    return made


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")
