# SPDX-License-Identifier: GPL-2.0-only
"""Known bytes through each door and fd type: counted once, exactly, with the right operations."""

import os
import socket
from collections.abc import Callable

import pytest

from fdscope.probes.read.session import Session
from fdscope.probes.schema.snapshot import Amount
from fdscope.probes.schema.taxonomy import Account, Door, FdType, Scope
from fdscope.probes.selftest import fds
from tests.kernel.conftest import Run

TIMES = 23
SIZE = 101
TOTAL = TIMES * SIZE
BLOCK = bytes(SIZE)

Ends = tuple[int, int]
"""Descriptors to write to and to read from."""


def pair(make: Callable[[], fds.Ends]) -> Ends:
    ends = make()
    return ends.write, ends.read


def a_file() -> Ends:
    return pair(fds.regular)


def a_memfd() -> Ends:
    return pair(fds.memfd)


def a_pipe() -> Ends:
    return pair(fds.fifo)


def a_tcp() -> Ends:
    return pair(fds.tcp)


FILES: dict[str, tuple[Callable[[], Ends], FdType]] = {
    "file": (a_file, FdType.REGULAR),
    "memfd": (a_memfd, FdType.MEMFD),
    "pipe": (a_pipe, FdType.FIFO),
}

SOCKETS: dict[str, tuple[Callable[[], Ends], FdType, Scope]] = {
    "tcp": (a_tcp, FdType.TCP, Scope.LOOPBACK),
    "tcp6": (lambda: pair(fds.tcp6), FdType.TCP, Scope.LOOPBACK),
    "udp": (lambda: pair(fds.udp), FdType.UDP, Scope.LOOPBACK),
    "unix_stream": (lambda: pair(fds.unix_stream), FdType.UNIX_STREAM, Scope.LOCAL),
    "unix_dgram": (lambda: pair(fds.unix_dgram), FdType.UNIX_DGRAM, Scope.LOCAL),
    "unix_seqpacket": (lambda: pair(fds.unix_seqpacket), FdType.UNIX_SEQPACKET, Scope.LOCAL),
}


def read_write(ends: Ends) -> None:
    for _ in range(TIMES):
        assert os.write(ends[0], BLOCK) == SIZE
        assert len(os.read(ends[1], SIZE)) == SIZE


def vectored(ends: Ends) -> None:
    into = [bytearray(1), bytearray(SIZE - 1)]
    for _ in range(TIMES):
        assert os.writev(ends[0], [BLOCK[:1], BLOCK[1:]]) == SIZE
        assert os.readv(ends[1], into) == SIZE


def positioned(ends: Ends) -> None:
    into = [bytearray(SIZE)]
    for number in range(TIMES):
        assert os.pwrite(ends[0], BLOCK, number * SIZE) == SIZE
        assert len(os.pread(ends[1], SIZE, number * SIZE)) == SIZE
        assert os.pwritev(ends[0], [BLOCK], number * SIZE) == SIZE
        assert os.preadv(ends[1], into, number * SIZE) == SIZE


def send_recv(ends: Ends) -> None:
    with socket.socket(fileno=ends[0]) as out, socket.socket(fileno=ends[1]) as into:
        for _ in range(TIMES):
            assert out.send(BLOCK) == SIZE
            assert len(into.recv(SIZE)) == SIZE


def sendmsg_recvmsg(ends: Ends) -> None:
    with socket.socket(fileno=ends[0]) as out, socket.socket(fileno=ends[1]) as into:
        for _ in range(TIMES):
            assert out.sendmsg([BLOCK[:1], BLOCK[1:]]) == SIZE
            assert len(into.recvmsg(SIZE)[0]) == SIZE


EXPECTED = Amount(TIMES, TOTAL)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("use", "door"), [(read_write, Door.READ_WRITE), (vectored, Door.VECTORED)]
)
def test_file(name: str, use: Callable[[Ends], None], door: Door, run: Run) -> None:
    make, fd_type = FILES[name]
    counted = run(lambda: use(make()))
    assert counted[Account.FILE_WRITE, fd_type, door, 0] == EXPECTED
    assert counted[Account.FILE_READ, fd_type, door, 0] == EXPECTED


def test_positioned(run: Run) -> None:
    counted = run(lambda: positioned(a_memfd()))
    for door in (Door.READ_WRITE, Door.VECTORED):
        assert counted[Account.FILE_WRITE, FdType.MEMFD, door, 0] == EXPECTED
        assert counted[Account.FILE_READ, FdType.MEMFD, door, 0] == EXPECTED


@pytest.mark.parametrize("name", SOCKETS)
@pytest.mark.parametrize(
    ("use", "door"),
    [
        (read_write, Door.READ_WRITE),
        (vectored, Door.VECTORED),
        (send_recv, Door.SOCKET_CALL),
        (sendmsg_recvmsg, Door.SOCKET_CALL),
    ],
)
def test_socket(
    name: str, use: Callable[[Ends], None], door: Door, session: Session, run: Run
) -> None:
    """Both layers count the same, by separate hooks."""
    make, fd_type, scope = SOCKETS[name]
    counted = run(lambda: use(make()))
    assert counted[Account.FILE_WRITE, fd_type, door, 0] == EXPECTED
    assert counted[Account.FILE_READ, fd_type, door, 0] == EXPECTED
    if session.sees_sockets:
        assert counted[Account.SOCKET_SEND, fd_type, scope, 0] == EXPECTED
        assert counted[Account.SOCKET_RECEIVE, fd_type, scope, 0] == EXPECTED


def test_peeked_bytes_stand_apart(session: Session, run: Run) -> None:
    def peek() -> None:
        one, other = socket.socketpair()
        one.send(BLOCK)
        assert len(other.recv(SIZE, socket.MSG_PEEK)) == SIZE
        assert len(other.recvmsg(SIZE, 0, socket.MSG_PEEK)[0]) == SIZE
        assert len(other.recv(SIZE)) == SIZE

    counted = run(peek)
    unix_stream = FdType.UNIX_STREAM
    assert counted[Account.FILE_PEEK, unix_stream, Door.SOCKET_CALL, 0] == (2, 2 * SIZE)
    assert counted[Account.FILE_READ, unix_stream, Door.SOCKET_CALL, 0] == (1, SIZE)
    if session.sees_sockets:
        assert counted[Account.SOCKET_PEEK, unix_stream, Scope.LOCAL, 0] == (2, 2 * SIZE)
        assert counted[Account.SOCKET_RECEIVE, unix_stream, Scope.LOCAL, 0] == (1, SIZE)


def test_end_of_file_is_an_operation_of_no_bytes(run: Run) -> None:
    def until_the_end() -> None:
        ends = a_pipe()
        read_write(ends)
        os.close(ends[0])
        assert os.read(ends[1], 9) == b""

    counted = run(until_the_end)
    assert counted[Account.FILE_READ, FdType.FIFO, Door.READ_WRITE, 0] == (TIMES + 1, TOTAL)
