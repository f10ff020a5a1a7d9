# SPDX-License-Identifier: GPL-2.0-only
"""The name of a file as text, made of what the kernel side has read."""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from fdscope.probes.schema.files import INTERNET_FAMILIES, Ends, Name, Place
from fdscope.probes.schema.taxonomy import FdKind, FdType, tcp_state
from fdscope.probes.text import printable

NOT_READ = "it was opened before it was watched, and closed before anybody looked"
NO_DESCRIPTOR = "the descriptor was closed during the call"

_ANONYMOUS = (*FdKind.EVENT.fd_types, FdType.MEMFD)
"""Types whose name is that of a file in no directory."""
_NUMBERED = {FdType.NAMESPACE: "namespace", FdType.PIDFD: "pidfd", FdType.FIFO: "pipe"}
"""Types that only have a number, unless they have a path."""
_WITH_STATE = (FdType.TCP, FdType.UNIX_STREAM, FdType.UNIX_SEQPACKET, FdType.SCTP)


@dataclass(frozen=True, slots=True)
class FileName:
    """A name, or why there is none."""

    text: str | None
    why_not: str = ""
    is_whole: bool = True
    """False if its outer directories were not read."""

    @property
    def shown(self) -> str:
        """For a table."""
        return "?" if self.text is None else self.text


def file_name(fd_type: FdType, place: Place, name: Name | None, ends: Ends | None) -> FileName:
    """The name of a file; printable, whatever its owner has called it."""
    if fd_type.is_socket:
        return _socket_name(place, ends)
    if name is None and fd_type in _NUMBERED and place.inode:
        return FileName(f"{_NUMBERED[fd_type]}:[{place.inode}]")
    if name is None:
        return FileName(None, NOT_READ if place.inode else NO_DESCRIPTOR)
    if not any(name.components) and fd_type in _NUMBERED:
        return FileName(f"{_NUMBERED[fd_type]}:[{place.inode}]")
    inner = b"/".join(name.components)
    if fd_type in _ANONYMOUS and len(name.components) <= 1:
        text = inner
    else:
        text = (b"/" if name.is_whole else b".../") + inner
    return FileName(printable(text), "", name.is_whole)


def _socket_name(place: Place, ends: Ends | None) -> FileName:
    if ends is None:
        return FileName(f"socket:[{place.inode}]" if place.inode else None, NO_DESCRIPTOR)
    local, remote = address(ends, ends.local, ends.local_port), ""
    if ends.family == socket.AF_UNIX:
        local = local or f"socket:[{place.inode}]"
        remote = address(ends, ends.remote, 0) or (f"socket:[{ends.peer}]" if ends.peer else "")
    elif ends.remote_port or ends.remote.strip(b"\0"):
        remote = address(ends, ends.remote, ends.remote_port)
    if not local:
        return FileName(f"socket:[{place.inode}]")
    return FileName(f"{local} -> {remote}" if remote else local)


def address(ends: Ends, raw: bytes, port: int) -> str:
    """One end of a socket as text; empty if it has none."""
    if ends.family == socket.AF_UNIX:
        if raw[:1] == b"\0":
            return "@" + printable(raw[1:])
        return printable(raw)
    if ends.family not in INTERNET_FAMILIES or not raw:
        return ""
    host = socket.inet_ntop(ends.family, raw)
    if ends.family == socket.AF_INET:
        return f"{host}:{port}"
    scope = interface_name(ends.interface) if raw[:2] == b"\xfe\x80" and ends.interface else ""
    return f"[{host}%{scope}]:{port}" if scope else f"[{host}]:{port}"


def state(fd_type: FdType, ends: Ends | None) -> str:
    """The state of a connection; empty where there is none."""
    return tcp_state(ends.state) if ends and fd_type in _WITH_STATE else ""


@lru_cache(maxsize=256)
def interface_name(index: int) -> str:
    """The name of an interface in this network namespace, or its number."""
    with suppress(OSError):
        return printable(socket.if_indextoname(index))
    return str(index)


_ACCESS: Mapping[int, str] = {os.O_RDONLY: "r", os.O_WRONLY: "w", os.O_RDWR: "rw"}
_FLAGS = ("APPEND", "CREAT", "DIRECT", "DIRECTORY", "DSYNC", "NOATIME", "NOFOLLOW", "NONBLOCK")


def access(flags: int) -> str:
    """``r``, ``w`` or ``rw``."""
    return _ACCESS.get(flags & os.O_ACCMODE, "")


def flag_words(flags: int) -> list[str]:
    """The other O_* flags, without the prefix."""
    return [word for word in _FLAGS if flags & getattr(os, f"O_{word}", 0)]
