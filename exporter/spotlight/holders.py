# SPDX-License-Identifier: GPL-2.0-only
"""Who holds the ends of pipes, unix sockets and connections within the host."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from fdscope.exporter.spotlight.names import access, file_name
from fdscope.exporter.spotlight.rows import Peer
from fdscope.probes.schema.files import Ends, OpenFd, OpenFds
from fdscope.probes.schema.taxonomy import FdType
from fdscope.probes.text import printable

_MOST_PEERS = 16


class EndKey(NamedTuple):
    """One end of a pipe, unix socket or connection."""

    fd_type: FdType
    end: tuple[object, ...]


class Held(NamedTuple):
    """A descriptor of one end, and the process that has it."""

    key: EndKey
    peer: Peer
    fd: OpenFd

    @property
    def name(self) -> str:
        """That of the pipe or connection; printable."""
        return file_name(self.fd.fd_type, self.fd.place, None, self.fd.ends).shown


@dataclass(slots=True)
class _End:
    other: EndKey
    held: list[Held] = field(default_factory=list)


class Holders:
    """Both ends of what joins processes, and who holds each."""

    def __init__(self, tables: Iterable[OpenFds]) -> None:
        self._ends: dict[EndKey, _End] = {}
        self._sockets: dict[EndKey, set[int]] = defaultdict(set)
        for table in tables:
            name = printable(table.process.name)
            for fd in table.fds:
                for mine, other in _ends_of(fd):
                    end = self._ends.setdefault(mine, _End(other))
                    end.held.append(Held(mine, Peer(table.key.tgid, name, fd.fd), fd))
                    if fd.fd_type.is_socket:
                        self._sockets[mine].add(fd.place.inode)

    def of(self, key: EndKey) -> list[Held]:
        """All descriptors of an end; none if several network namespaces have such a connection."""
        if len(self._sockets.get(key, ())) > 1:
            return []
        end = self._ends.get(key)
        return end.held if end else []

    def pairs(self) -> Iterator[tuple[EndKey, EndKey]]:
        """Both ends of each pipe and connection of which both are held, once."""
        for mine, end in self._ends.items():
            if (mine < end.other if mine.fd_type.is_socket else mine.end[-1] == "w") and (
                self.of(mine) and self.of(end.other)
            ):
                yield mine, end.other

    def peers_of(self, fd: OpenFd) -> tuple[Peer, ...]:
        """Who holds the other end of what this descriptor refers to."""
        found: dict[Peer, None] = {}
        for _, other in _ends_of(fd):
            found |= {each.peer: None for each in self.of(other) if each.fd.file != fd.file}
        return tuple(found)[:_MOST_PEERS]

    def neighbours(self, table: OpenFds, most: int) -> list[int]:
        """Up to so many other processes that are joined with this one."""
        found: dict[int, None] = {}
        for fd in table.fds:
            found |= {peer.pid: None for peer in self.peers_of(fd) if peer.pid != table.key.tgid}
        return list(found)[:most]


def _ends_of(fd: OpenFd) -> Iterator[tuple[EndKey, EndKey]]:
    """The ends that a descriptor is of, each with the other end."""
    if fd.fd_type is FdType.FIFO:
        way = access(fd.flags)
        for mine, other in ("wr", "rw"):
            if mine in way:
                pipe = fd.place.device, fd.place.inode
                yield EndKey(fd.fd_type, (*pipe, mine)), EndKey(fd.fd_type, (*pipe, other))
    elif fd.ends and fd.ends.peer:
        yield EndKey(fd.fd_type, (fd.place.inode,)), EndKey(fd.fd_type, (fd.ends.peer,))
    elif fd.ends and fd.ends.remote_port:
        own, far = _both(fd.ends)
        yield EndKey(fd.fd_type, (*own, *far)), EndKey(fd.fd_type, (*far, *own))


def _both(ends: Ends) -> tuple[tuple[bytes, int], tuple[bytes, int]]:
    return (_plain(ends.local), ends.local_port), (_plain(ends.remote), ends.remote_port)


def _plain(address: bytes) -> bytes:
    """An IPv4 address, also where an IPv6 socket has it."""
    return address.removeprefix(_MAPPED) if len(address) == 16 else address


_MAPPED = b"\0" * 10 + b"\xff\xff"
