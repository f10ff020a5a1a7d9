# SPDX-License-Identifier: GPL-2.0-only
"""Compiled programs kept from start to start, in a directory that only their user can write to.

What is read from there is loaded into the kernel. So everything on the way to it must belong to
root or to this user, nobody else may write there, and no part of it may be a link. An entry has the
checksum of its text, and a name that is a hash over all that the text was made from. Whatever is
wrong with an entry or the directory: the programs are compiled as if there were none.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from fdscope.probes.attach.objects import Object, ObjectError

DIRECTORY = Path("/var/cache/fdscope")
_MOST_ENTRIES = 8
"""Those that were used longest ago are removed."""
_MOST_BYTES = 16 << 20
_SUFFIX = ".bpf"
_TEMPORARY = ".new"


class CacheError(Exception):
    """The cache cannot be used; the text says why."""


def directory(
    environment: Mapping[str, str] = os.environ, default: Path = DIRECTORY
) -> Path | None:
    """Where to keep them: the directory that systemd made for us, or root's; None for neither."""
    given = environment.get("CACHE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    return None if os.geteuid() else default


def _check(status: os.stat_result, what: str) -> None:
    """CacheError if anybody else can change it."""
    if status.st_uid not in (0, os.geteuid()):
        raise CacheError(f"{what} belongs to user {status.st_uid}")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise CacheError(f"others can write to {what}")


class Cache:
    """The entries in one directory."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, name: str) -> Object | None:
        """The entry of that name; None if there is none. CacheError if it is not to be trusted."""
        with self._directory(create=False) as place:
            if place is None:
                return None
            text = self._read(name + _SUFFIX, place)
            if text is None:
                return None
            checksum, _, body = text.partition(b"\n")
            if hashlib.sha256(body).hexdigest().encode() != checksum:
                raise CacheError(f"{self._path / name}{_SUFFIX} is damaged")
            try:
                found = Object.of_text(body)
            except ObjectError as error:
                raise CacheError(f"{self._path / name}{_SUFFIX} is {error}") from error
            with suppress(OSError):
                os.utime(name + _SUFFIX, dir_fd=place)
            return found

    def put(self, name: str, compiled: Object) -> None:
        """Keep an entry; CacheError if it cannot be kept."""
        body = compiled.text()
        text = hashlib.sha256(body).hexdigest().encode() + b"\n" + body
        with self._directory(create=True) as place:
            if place is None:
                raise CacheError(f"{self._path} is not there")
            temporary = f"{name}.{os.getpid()}{_TEMPORARY}"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            try:
                with os.fdopen(os.open(temporary, flags, 0o600, dir_fd=place), "wb") as file:
                    file.write(text)
                os.rename(temporary, name + _SUFFIX, src_dir_fd=place, dst_dir_fd=place)
            except OSError:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=place)
                raise
            self._remove_old(place)

    def _read(self, file: str, place: int) -> bytes | None:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            fd = os.open(file, flags, dir_fd=place)
        except FileNotFoundError:
            return None
        with os.fdopen(fd, "rb") as opened:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
                raise CacheError(f"{self._path / file} is not a file of its own")
            _check(status, str(self._path / file))
            if status.st_size > _MOST_BYTES:
                raise CacheError(f"{self._path / file} is too large")
            return opened.read(_MOST_BYTES + 1)

    @contextmanager
    def _directory(self, create: bool) -> Iterator[int | None]:
        """The open directory; None if it is not there. CacheError if it cannot be used."""
        try:
            place = self._open(create)
            try:
                yield place
            finally:
                if place is not None:
                    os.close(place)
        except OSError as error:
            raise CacheError(f"{self._path}: {error.strerror or error}") from error

    def _open(self, create: bool) -> int | None:
        """Open it part by part, each checked: what is above decides about what is below."""
        if not self._path.is_absolute() or ".." in self._path.parts:
            raise CacheError(f"{self._path} is no absolute path")
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
        at = os.open("/", flags)
        path = Path("/")
        try:
            _check(os.fstat(at), "/")
            for part in self._path.parts[1:]:
                path /= part
                if create and path == self._path:
                    with suppress(FileExistsError):
                        os.mkdir(part, 0o700, dir_fd=at)
                try:
                    below = os.open(part, flags, dir_fd=at)
                except FileNotFoundError:
                    os.close(at)
                    return None
                except OSError as error:
                    if error.errno in (errno.ELOOP, errno.ENOTDIR):
                        raise CacheError(f"{path} is a link, or no directory") from error
                    raise
                os.close(at)
                at = below
                _check(os.fstat(at), str(path))
        except BaseException:
            with suppress(OSError):
                os.close(at)
            raise
        return at

    def _remove_old(self, place: int) -> None:
        """Bound their number; temporary files are those of processes that were killed."""
        entries = []
        for file in os.listdir(place):
            with suppress(OSError):
                if file.endswith(_TEMPORARY):
                    os.unlink(file, dir_fd=place)
                elif file.endswith(_SUFFIX):
                    status = os.stat(file, dir_fd=place, follow_symlinks=False)
                    entries.append((status.st_mtime_ns, file))
        for _, file in sorted(entries)[:-_MOST_ENTRIES]:
            with suppress(OSError):
                os.unlink(file, dir_fd=place)
