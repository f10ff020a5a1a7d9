# SPDX-License-Identifier: GPL-2.0-only
"""Known bytes through the doors that take two files, many messages, or complete later."""

import ctypes
import fcntl
import os
import select
import socket
import termios
import threading

import pytest

from fdscope.probes.read.session import Session
from fdscope.probes.schema.snapshot import Amount
from fdscope.probes.schema.taxonomy import Account, Door, FdType, Scope
from fdscope.probes.selftest.raw_calls import Aio, Messages, Ring, address, buffer, call, iovec
from tests.kernel.conftest import Counted, Run
from tests.kernel.layers.test_doors import a_file, a_memfd, a_pipe, a_tcp

SIZE = 5003
READ, WRITE = Account.FILE_READ, Account.FILE_WRITE
ONCE = Amount(1, SIZE)


def filled() -> int:
    """A file of SIZE bytes, at its start; they were written through the door read_write."""
    fd, _ = a_file()
    os.write(fd, bytes(SIZE))
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def drain(fd: int, count: int = SIZE) -> None:
    while count:
        count -= len(os.read(fd, count))


def test_sendfile_to_socket(session: Session, run: Run) -> None:
    def work() -> None:
        out, into = a_tcp()
        assert os.sendfile(out, filled(), 0, SIZE) == SIZE
        drain(into)

    counted = run(work)
    assert counted[READ, FdType.REGULAR, Door.SENDFILE, 0] == ONCE
    assert counted[WRITE, FdType.TCP, Door.SENDFILE, 0] == ONCE
    if session.sees_sockets:
        assert counted[Account.SOCKET_SEND, FdType.TCP, Scope.LOOPBACK, 0].bytes == SIZE


def test_sendfile_to_file(run: Run) -> None:
    counted = run(lambda: os.sendfile(a_memfd()[0], filled(), 0, SIZE))
    assert counted[READ, FdType.REGULAR, Door.SENDFILE, 0] == ONCE
    assert counted[WRITE, FdType.MEMFD, Door.SENDFILE, 0] == ONCE


def test_splice_both_ways(session: Session, run: Run) -> None:
    def work() -> None:
        pipe_in, pipe_out = a_pipe()
        out, into = a_tcp()
        assert os.splice(filled(), pipe_in, SIZE) == SIZE
        assert os.splice(pipe_out, out, SIZE) == SIZE
        while int.from_bytes(fcntl.ioctl(into, termios.FIONREAD, bytes(4)), "little") < SIZE:
            select.select([into], [], [])
        left = SIZE
        while left:
            left -= os.splice(into, pipe_in, left)
        drain(pipe_out)

    counted = run(work)
    assert counted[READ, FdType.REGULAR, Door.SPLICE, 0] == ONCE
    assert counted[READ, FdType.FIFO, Door.SPLICE, 0] == ONCE
    assert counted[WRITE, FdType.TCP, Door.SPLICE, 0] == ONCE
    assert counted[READ, FdType.TCP, Door.SPLICE, 0].bytes == SIZE
    assert counted[WRITE, FdType.FIFO, Door.SPLICE, 0].bytes == 2 * SIZE
    if session.sees_sockets:
        assert counted[Account.SOCKET_SEND, FdType.TCP, Scope.LOOPBACK, 0].bytes == SIZE


def test_tee_duplicates(run: Run) -> None:
    def work() -> None:
        first_in, first_out = a_pipe()
        second_in, second_out = a_pipe()
        os.write(first_in, bytes(SIZE))
        assert call("tee", first_out, second_in, SIZE, 0) == SIZE
        drain(first_out)
        drain(second_out)

    counted = run(work)
    assert counted[Account.FILE_DUPLICATE, FdType.FIFO, Door.SPLICE, 0] == ONCE
    assert counted[WRITE, FdType.FIFO, Door.SPLICE, 0] == ONCE


def test_vmsplice_both_ways(run: Run) -> None:
    def work() -> None:
        data = buffer(101)
        pipe_in, pipe_out = a_pipe()
        assert call("vmsplice", pipe_in, iovec(data), 1, 0) == 101
        assert call("vmsplice", pipe_out, iovec(data), 1, 0) == 101

    counted = run(work)
    assert counted[WRITE, FdType.FIFO, Door.SPLICE, 0] == (1, 101)
    assert counted[READ, FdType.FIFO, Door.SPLICE, 0] == (1, 101)


def test_copy_file_range(session: Session, run: Run) -> None:
    needs(session, Door.COPY_FILE_RANGE)

    def work() -> None:
        assert os.copy_file_range(filled(), a_file()[0], SIZE) == SIZE

    counted = run(work)
    assert counted[READ, FdType.REGULAR, Door.COPY_FILE_RANGE, 0] == ONCE
    assert counted[WRITE, FdType.REGULAR, Door.COPY_FILE_RANGE, 0] == ONCE


def test_many_messages_in_a_call(session: Session, run: Run) -> None:
    def work() -> None:
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        messages = Messages(7, 101)
        assert messages.send(one.fileno()) == 7
        assert messages.receive(other.fileno()) == 7

    counted = run(work)
    for account in (READ, WRITE):
        assert counted[account, FdType.UNIX_DGRAM, Door.SOCKET_CALL, 0] == (7, 707)
    for account in (Account.SOCKET_SEND, Account.SOCKET_RECEIVE):
        assert not session.sees_sockets or (
            counted[account, FdType.UNIX_DGRAM, Scope.LOCAL, 0] == (7, 707)
        )


def test_aio(run: Run) -> None:
    def work() -> None:
        aio = Aio()
        fd, _ = a_file()
        assert aio.run(1, fd, buffer(SIZE)) == SIZE
        assert aio.run(0, fd, buffer(SIZE)) == SIZE

    counted = run(work)
    assert counted[WRITE, FdType.REGULAR, Door.AIO, 0] == ONCE
    assert counted[READ, FdType.REGULAR, Door.AIO, 0] == ONCE


def needs(session: Session, door: Door) -> None:
    if door.label in session.blind_doors:
        pytest.skip(f"no hook of the door {door.label} can be attached on this kernel")


ASYNC = 1 << 4
"""IOSQE_ASYNC: a worker thread does it."""


@pytest.mark.parametrize("sqe_flags", [0, ASYNC])
def test_io_uring(sqe_flags: int, session: Session, run: Run) -> None:
    needs(session, Door.IO_URING)

    def work() -> None:
        ring = Ring()
        data = buffer(SIZE)
        vector = iovec(data)
        one, other = socket.socketpair()
        fd, _ = a_file()
        for opcode, file, where, length in (
            (Ring.WRITE, fd, address(data), SIZE),
            (Ring.READ, fd, address(data), SIZE),
            (Ring.WRITEV, fd, address(vector), 1),
            (Ring.READV, fd, address(vector), 1),
            (Ring.SEND, one.fileno(), address(data), SIZE),
            (Ring.RECV, other.fileno(), address(data), SIZE),
        ):
            assert ring.run(opcode, file, where, length, 0, sqe_flags) == SIZE

    counted = run(work)
    assert counted[WRITE, FdType.REGULAR, Door.IO_URING, 0] == (2, 2 * SIZE)
    assert counted[READ, FdType.REGULAR, Door.IO_URING, 0] == (2, 2 * SIZE)
    assert counted[WRITE, FdType.UNIX_STREAM, Door.IO_URING, 0] == ONCE
    assert counted[READ, FdType.UNIX_STREAM, Door.IO_URING, 0] == ONCE
    if session.sees_sockets:
        assert counted[Account.SOCKET_SEND, FdType.UNIX_STREAM, Scope.LOCAL, 0] == ONCE
        assert counted[Account.SOCKET_RECEIVE, FdType.UNIX_STREAM, Scope.LOCAL, 0] == ONCE


def test_io_uring_receives_that_peek_or_truncate(session: Session, run: Run) -> None:
    needs(session, Door.IO_URING)

    def work() -> None:
        ring, data = Ring(), buffer(SIZE)
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        one.send(bytes(SIZE))
        one.send(bytes(SIZE))
        for length, flags in ((SIZE, socket.MSG_PEEK), (SIZE, 0), (100, socket.MSG_TRUNC)):
            fd = other.fileno()
            assert ring.run(Ring.RECV, fd, address(data), length, flags=flags) == SIZE

    counted = run(work)
    for account in (READ, Account.FILE_PEEK, Account.FILE_TRUNCATE):
        assert counted[account, FdType.UNIX_DGRAM, Door.IO_URING, 0] == ONCE
    if session.sees_sockets:
        for account in (Account.SOCKET_RECEIVE, Account.SOCKET_PEEK, Account.SOCKET_TRUNCATE):
            assert counted[account, FdType.UNIX_DGRAM, Scope.LOCAL, 0] == ONCE


def test_a_blocked_io_uring_read_is_one_operation(session: Session, run: Run) -> None:
    needs(session, Door.IO_URING)

    def work() -> None:
        write_fd, read_fd = a_pipe()
        data = buffer(57)
        later = threading.Timer(0.2, lambda: os.write(write_fd, bytes(57)))
        later.start()
        assert Ring().run(Ring.READ, read_fd, address(data), 57, 2**64 - 1) == 57
        later.join()

    assert run(work)[READ, FdType.FIFO, Door.IO_URING, 0] == (1, 57)


def totals(counted: Counted, account: Account, fd_type: FdType) -> int:
    return sum(
        amount.bytes
        for (what, kind, _, failed), amount in counted.items()
        if what == account and kind == fd_type and not failed
    )


def test_both_layers_agree_on_a_mixture(session: Session, run: Run) -> None:
    """The ledger in small: TCP bytes by all doors are the bytes of the socket layer."""

    def work() -> None:
        out, into = a_tcp()
        os.write(out, bytes(SIZE))
        os.writev(out, [bytes(10), bytes(20)])
        os.sendfile(out, filled(), 0, SIZE)
        with socket.socket(fileno=os.dup(out)) as sock:
            sock.send(bytes(77))
            sock.sendmsg([bytes(7)])
        drain(into, 2 * SIZE + 30 + 77 + 7)

    counted = run(work)
    for file, sock in (
        (WRITE, Account.SOCKET_SEND),
        (READ, Account.SOCKET_RECEIVE),
    ):
        assert totals(counted, file, FdType.TCP) == 2 * SIZE + 114
        if session.sees_sockets:
            assert totals(counted, sock, FdType.TCP) == 2 * SIZE + 114


def test_more_messages_than_one_step_of_the_program(run: Run) -> None:
    def work() -> None:
        one, _other = socket.socketpair()
        assert Messages(150, 11).send(one.fileno()) == 150

    assert run(work)[WRITE, FdType.UNIX_STREAM, Door.SOCKET_CALL, 0] == (150, 1650)


def test_aio_with_control_blocks_that_are_used_again(run: Run) -> None:
    """The kernel copies a control block at once: at the result it may hold anything."""

    def work() -> None:
        fd, _ = a_file()
        aio = Aio()
        iocb = aio.submit(Aio.PWRITE, fd, buffer(SIZE))
        ctypes.memset(address(iocb), 0, len(iocb))  # a read of standard input
        assert aio.result() == SIZE

    counted = run(work)
    assert counted[WRITE, FdType.REGULAR, Door.AIO, 0] == ONCE
    assert not [key for key in counted if key[0] is READ and key[2] is Door.AIO]
