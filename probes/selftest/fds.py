# SPDX-License-Identifier: GPL-2.0-only
"""Makes two connected descriptors of each fd type: to write to, and to read from."""

import ctypes
import os
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

from fdscope.probes.schema.taxonomy import FdType
from fdscope.probes.selftest.raw_calls import LIBC, call


@dataclass(frozen=True, slots=True)
class Ends:
    """Where to write and where to read; the same open file for some types."""

    write: int
    read: int


def regular() -> Ends:
    """A new file on a disk, if /var/tmp is on one."""
    with tempfile.NamedTemporaryFile(dir="/var/tmp") as file:  # no tmpfs
        return Ends(os.dup(file.fileno()), os.open(file.name, os.O_RDONLY))


def memfd() -> Ends:
    """An anonymous file in memory."""
    fd = os.memfd_create("fdscope-selftest")
    return Ends(fd, os.open(f"/proc/self/fd/{fd}", os.O_RDONLY))


def fifo() -> Ends:
    """A pipe."""
    read, write = os.pipe()
    return Ends(write, read)


def tty() -> Ends:
    """A pseudo terminal: what its user writes is read by its master."""
    master, user = os.openpty()
    return Ends(user, master)


def zero() -> Ends:
    """A character device."""
    fd = os.open("/dev/zero", os.O_RDWR)
    return Ends(fd, fd)


def eventfd() -> Ends:
    """An event counter, of eight bytes."""
    fd = os.eventfd(0)
    return Ends(fd, fd)


def _connected(family: int, kind: int, address: tuple[str, int], protocol: int = 0) -> Ends:
    server = socket.socket(family, kind, protocol)
    server.bind(address)
    client = socket.socket(family, kind, protocol)
    if kind == socket.SOCK_STREAM:
        server.listen(1)
        client.connect(server.getsockname())
        peer, _ = server.accept()
        return Ends(client.detach(), peer.detach())
    client.bind(address)
    client.connect(server.getsockname())
    server.connect(client.getsockname())
    return Ends(client.detach(), server.detach())


def tcp() -> Ends:
    """A connection over loopback."""
    return _connected(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))


def tcp6() -> Ends:
    """A connection over loopback, by IPv6."""
    return _connected(socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0))


def udp() -> Ends:
    """Two sockets, connected to each other."""
    return _connected(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))


def _pair(kind: int) -> Ends:
    one, other = socket.socketpair(socket.AF_UNIX, kind)
    return Ends(one.detach(), other.detach())


def unix_stream() -> Ends:
    """A socket pair."""
    return _pair(socket.SOCK_STREAM)


def unix_dgram() -> Ends:
    """A socket pair of messages."""
    return _pair(socket.SOCK_DGRAM)


def unix_seqpacket() -> Ends:
    """A socket pair of messages in a connection."""
    return _pair(socket.SOCK_SEQPACKET)


def packet() -> Ends:
    """A socket of frames on loopback; what it sends is not what it receives."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.bind(("lo", 0))
    return Ends(sock.fileno(), sock.detach())


def timerfd() -> Ends:
    """A timer that has expired."""
    fd = LIBC.timerfd_create(time.CLOCK_MONOTONIC, 0)
    LIBC.timerfd_settime(fd, 0, (ctypes.c_long * 4)(0, 0, 0, 1), None)
    return Ends(fd, fd)


def mqueue() -> Ends:
    """A POSIX message queue, unlinked."""
    name = f"fdscope-selftest-{os.urandom(8).hex()}".encode()
    fd = call("mq_open", name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600, None)
    call("mq_unlink", name)
    return Ends(fd, fd)


MAKERS: dict[FdType, Callable[[], Ends]] = {
    FdType.REGULAR: regular,
    FdType.MEMFD: memfd,
    FdType.FIFO: fifo,
    FdType.TTY: tty,
    FdType.CHARACTER: zero,
    FdType.EVENTFD: eventfd,
    FdType.TIMERFD: timerfd,
    FdType.TCP: tcp,
    FdType.UDP: udp,
    FdType.UNIX_STREAM: unix_stream,
    FdType.UNIX_DGRAM: unix_dgram,
    FdType.UNIX_SEQPACKET: unix_seqpacket,
    FdType.PACKET: packet,
    FdType.MQUEUE: mqueue,
}
