# SPDX-License-Identifier: GPL-2.0-only
"""The cases of the self-test: each moves bytes through a door and counts them, by fd type."""

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field

from fdscope.probes.schema.taxonomy import Door, FdType
from fdscope.probes.selftest.fds import MAKERS, Ends
from fdscope.probes.selftest.raw_calls import Aio, Messages, Ring, address, buffer, call, iovec

SIZE = 101
TIMES = 3
MESSAGES = 5
EVENTFD_BYTES = 8
_ENTRIES_BYTES = 32768
_MESSAGE_BYTES = 8192
"""Most that a message of a queue holds unless the host says otherwise."""


@dataclass(slots=True)
class Moved:
    """Bytes that a case moved through its door, by fd type."""

    read: dict[FdType, int] = field(default_factory=dict)
    written: dict[FdType, int] = field(default_factory=dict)

    def add(self, fd_type: FdType, read: int = 0, written: int = 0) -> None:
        """Add bytes."""
        if read:
            self.read[fd_type] = self.read.get(fd_type, 0) + read
        if written:
            self.written[fd_type] = self.written.get(fd_type, 0) + written


@dataclass(frozen=True, slots=True)
class Answer:
    """What the process of a case reports, as plain values that go through JSON."""

    pid: int
    read: Mapping[str, int] = field(default_factory=dict)
    """Bytes by label of the fd type."""
    written: Mapping[str, int] = field(default_factory=dict)
    unsupported: str = ""
    """Why the kernel cannot do it."""

    def moved(self, direction: str) -> Mapping[FdType, int]:
        """Bytes that were ``read`` or ``written``, by fd type."""
        bytes_of = self.read if direction == "read" else self.written
        return {FdType[label.upper()]: count for label, count in bytes_of.items()}


@dataclass(frozen=True, slots=True)
class Case:
    """One door on one fd type. ``run`` raises OSError where the kernel has no such thing."""

    name: str
    door: Door
    run: Callable[[], Moved]
    quick: bool = False
    """Also at start-up."""


def _size(fd_type: FdType) -> int:
    return EVENTFD_BYTES if fd_type in (FdType.EVENTFD, FdType.TIMERFD) else SIZE


def _both_ways(
    fd_type: FdType, write: Callable[[Ends, int], int], read: Callable[[Ends, int], int]
) -> Moved:
    moved, ends, size = Moved(), MAKERS[fd_type](), _size(fd_type)
    for _ in range(TIMES):
        moved.add(fd_type, written=write(ends, size))
        moved.add(fd_type, read=read(ends, size))
    return moved


def read_write(fd_type: FdType) -> Moved:
    """read() and write()."""
    return _both_ways(
        fd_type,
        lambda ends, size: os.write(ends.write, (1).to_bytes(size, "little")),
        lambda ends, size: len(os.read(ends.read, size)),
    )


def vectored(fd_type: FdType) -> Moved:
    """readv() and writev()."""
    return _both_ways(
        fd_type,
        lambda ends, size: os.writev(ends.write, [bytes(1), bytes(size - 1)]),
        lambda ends, size: os.readv(ends.read, [bytearray(1), bytearray(size - 1)]),
    )


def _sock(fd: int) -> socket.socket:
    return socket.socket(fileno=os.dup(fd))


def send_recv(fd_type: FdType) -> Moved:
    """send() and recv()."""
    return _both_ways(
        fd_type,
        lambda ends, size: _sock(ends.write).send(bytes(size)),
        lambda ends, size: len(_sock(ends.read).recv(size)),
    )


def sendmsg_recvmsg(fd_type: FdType) -> Moved:
    """sendmsg() and recvmsg()."""
    return _both_ways(
        fd_type,
        lambda ends, size: _sock(ends.write).sendmsg([bytes(1), bytes(size - 1)]),
        lambda ends, size: len(_sock(ends.read).recvmsg(size)[0]),
    )


def sendmmsg_recvmmsg(fd_type: FdType) -> Moved:
    """Several messages in a call, sent and received."""
    messages = Messages(MESSAGES, SIZE)
    return _both_ways(
        fd_type,
        lambda ends, size: messages.send(ends.write) * size,
        lambda ends, size: messages.receive(ends.read) * size,
    )


def packet_frame() -> Moved:
    """A frame written to a packet socket by write()."""
    moved = Moved()
    frame = bytes(12) + b"\x88\xb5" + bytes(SIZE)
    moved.add(FdType.PACKET, written=os.write(MAKERS[FdType.PACKET]().write, frame))
    return moved


def timer() -> Moved:
    """The eight bytes of a timer that has expired."""
    moved = Moved()
    moved.add(FdType.TIMERFD, read=len(os.read(MAKERS[FdType.TIMERFD]().read, EVENTFD_BYTES)))
    return moved


def _filled() -> int:
    """A regular file of SIZE bytes that were not written: it was truncated to that size."""
    ends = MAKERS[FdType.REGULAR]()
    os.truncate(ends.write, SIZE)
    return ends.write


def sendfile(to: FdType) -> Moved:
    """The call sendfile, from a regular file."""
    moved, count = Moved(), os.sendfile(MAKERS[to]().write, _filled(), 0, SIZE)
    moved.add(FdType.REGULAR, read=count)
    moved.add(to, written=count)
    return moved


def splice() -> Moved:
    """File to pipe to TCP to pipe to file."""
    moved, pipe, tcp = Moved(), MAKERS[FdType.FIFO](), MAKERS[FdType.TCP]()
    steps = (
        (FdType.REGULAR, _filled(), FdType.FIFO, pipe.write),
        (FdType.FIFO, pipe.read, FdType.TCP, tcp.write),
        (FdType.TCP, tcp.read, FdType.FIFO, pipe.write),
        (FdType.FIFO, pipe.read, FdType.REGULAR, MAKERS[FdType.REGULAR]().write),
    )
    for from_type, from_fd, to_type, to_fd in steps:
        if from_type is FdType.TCP:
            time.sleep(0.05)  # loopback delivers in a moment
        count = os.splice(from_fd, to_fd, SIZE)
        moved.add(from_type, read=count)
        moved.add(to_type, written=count)
    return moved


def vmsplice() -> Moved:
    """Memory into a pipe and out of it."""
    moved, pipe, data = Moved(), MAKERS[FdType.FIFO](), buffer(SIZE)
    vector = iovec(data)
    moved.add(FdType.FIFO, written=call("vmsplice", pipe.write, vector, 1, 0))
    moved.add(FdType.FIFO, read=call("vmsplice", pipe.read, vector, 1, 0))
    return moved


def copy_file_range() -> Moved:
    """From a regular file to another."""
    moved = Moved()
    count = os.copy_file_range(_filled(), MAKERS[FdType.REGULAR]().write, SIZE)
    moved.add(FdType.REGULAR, read=count, written=count)
    return moved


def io_uring(fd_type: FdType) -> Moved:
    """READ and WRITE, or SEND and RECV."""
    ring, data = Ring(), buffer(SIZE)
    write, read = (Ring.WRITE, Ring.READ) if fd_type is FdType.REGULAR else (Ring.SEND, Ring.RECV)
    return _both_ways(
        fd_type,
        lambda ends, size: ring.run(write, ends.write, address(data), size),
        lambda ends, size: ring.run(read, ends.read, address(data), size),
    )


def aio() -> Moved:
    """io_submit() and io_getevents()."""
    data = buffer(SIZE)
    with closing(Aio()) as context:
        return _both_ways(
            FdType.REGULAR,
            lambda ends, _: context.run(Aio.PWRITE, ends.write, data),
            lambda ends, _: context.run(Aio.PREAD, ends.read, data),
        )


def getdents() -> Moved:
    """The list of a directory."""
    moved, entries = Moved(), buffer(_ENTRIES_BYTES)
    fd = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    moved.add(FdType.DIRECTORY, read=call("getdents64", fd, entries, _ENTRIES_BYTES))
    return moved


def mqueue(fd_type: FdType) -> Moved:
    """mq_timedsend() and mq_timedreceive(), of which the first does not return the bytes."""
    into = buffer(_MESSAGE_BYTES)

    def send(ends: Ends, size: int) -> int:
        call("mq_timedsend", ends.write, bytes(size), size, 0, None)
        return size

    return _both_ways(
        fd_type,
        send,
        lambda ends, _: call("mq_timedreceive", ends.read, into, len(into), None, None),
    )


_STREAMS = (FdType.TCP, FdType.UNIX_STREAM)
_MESSAGES = (FdType.UDP, FdType.UNIX_DGRAM, FdType.UNIX_SEQPACKET)
_PLAIN = (
    FdType.REGULAR, FdType.MEMFD, FdType.FIFO, FdType.TTY, FdType.CHARACTER, FdType.EVENTFD,
)  # fmt: skip
_QUICK = (FdType.REGULAR, FdType.FIFO, FdType.TCP)


def _of(
    door: Door, use: Callable[[FdType], Moved], *fd_types: FdType, suffix: str = ""
) -> Iterator[Case]:
    for fd_type in fd_types:
        name = f"{use.__name__}{suffix} {fd_type.label}"
        yield Case(name, door, lambda fd_type=fd_type: use(fd_type), fd_type in _QUICK)  # type: ignore[misc]


CASES: tuple[Case, ...] = (
    *_of(Door.READ_WRITE, read_write, *_PLAIN, *_STREAMS, *_MESSAGES),
    Case("write packet", Door.READ_WRITE, packet_frame),
    Case("read timerfd", Door.READ_WRITE, timer),
    *_of(Door.VECTORED, vectored, *_PLAIN[:3], *_STREAMS, *_MESSAGES),
    *_of(Door.SOCKET_CALL, send_recv, *_STREAMS, *_MESSAGES),
    *_of(Door.SOCKET_CALL, sendmsg_recvmsg, *_STREAMS, *_MESSAGES),
    *_of(Door.SOCKET_CALL, sendmmsg_recvmmsg, *_MESSAGES),
    *_of(Door.SENDFILE, sendfile, FdType.TCP, FdType.UNIX_STREAM, FdType.MEMFD, FdType.FIFO),
    Case("splice", Door.SPLICE, splice, quick=True),
    Case("vmsplice", Door.SPLICE, vmsplice),
    Case("copy_file_range", Door.COPY_FILE_RANGE, copy_file_range, quick=True),
    *_of(Door.IO_URING, io_uring, FdType.REGULAR, *_STREAMS, FdType.UDP),
    Case("aio regular", Door.AIO, aio, quick=True),
    Case("getdents64 directory", Door.DIRECTORY_CALL, getdents),
    *_of(Door.MQUEUE_CALL, mqueue, FdType.MQUEUE),
)
