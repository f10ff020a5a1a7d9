# SPDX-License-Identifier: GPL-2.0-only
"""Descriptors passed through unix sockets."""

import array
import ctypes
import os
import socket
import struct

import pytest

from fdscope.probes.attach.source import PASSED_FDS_A_CALL
from fdscope.probes.read.session import Session
from fdscope.probes.schema.taxonomy import Account, Birth, FdType, Loss, Mode, Passing
from fdscope.probes.selftest.raw_calls import Buffer, address, call, iovec
from tests.kernel.conftest import Run
from tests.kernel.fds.fd_life import balance, count, opened, passed

RIGHTS = (socket.SOL_SOCKET, socket.SCM_RIGHTS)


@pytest.mark.parametrize("number", [1, 7, PASSED_FDS_A_CALL])
def test_passed_through_a_unix_socket(number: int, run: Run) -> None:
    def work() -> None:
        ours, theirs = socket.socketpair()
        fds = [os.eventfd(0)] * (number - 1) + [ours.fileno()]
        socket.send_fds(ours, [b"x"], fds)
        received = socket.recv_fds(theirs, 10, number)[1]
        assert len(received) == number

    counted = run(work)
    for fd_type, expected in ((FdType.EVENTFD, number - 1), (FdType.UNIX_STREAM, 1)):
        assert count(counted, Account.FD_PASSED, fd_type, Passing.SENT) == expected
        assert count(counted, Account.FD_PASSED, fd_type, Passing.RECEIVED) == expected
        assert opened(counted, fd_type, Birth.SCM_RIGHTS) == expected
    assert balance(counted) == {}


def test_most_that_a_message_can_pass(run: Run, session: Session) -> None:
    number = 253

    def work() -> None:
        ours, theirs = socket.socketpair()
        socket.send_fds(ours, [b"x"], [os.eventfd(0)] * number)
        assert len(socket.recv_fds(theirs, 10, number)[1]) == number

    before = session.snapshot().losses[Loss.FDS_UNSEEN]
    counted = run(work)
    unseen = session.snapshot().losses[Loss.FDS_UNSEEN] - before
    sent = count(counted, Account.FD_PASSED, FdType.EVENTFD, Passing.SENT)
    assert (sent, unseen) == (
        (number, 0)
        if session.mode is Mode.TRACEPOINT
        else (PASSED_FDS_A_CALL, number - PASSED_FDS_A_CALL)
    )
    assert count(counted, Account.FD_PASSED, FdType.EVENTFD, Passing.RECEIVED) == number


def test_messages_without_fds_pass_none(run: Run) -> None:
    def work() -> None:
        ours, theirs = socket.socketpair()
        credentials = struct.pack("iII", os.getpid(), 0, 0)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credentials)])
        theirs.recvmsg(10, 1000)
        ours.sendmsg([b"x"])
        theirs.recvmsg(10)

    counted = run(work)
    assert not any(key[0] is Account.FD_PASSED for key in counted)


def test_several_control_messages(run: Run) -> None:
    def work() -> None:
        ours, theirs = socket.socketpair()
        rights = array.array("i", [os.eventfd(0), os.eventfd(0)])
        credentials = struct.pack("iII", os.getpid(), 0, 0)
        ours.sendmsg(
            [b"x"],
            [
                (socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credentials),
                (socket.SOL_SOCKET, socket.SCM_RIGHTS, rights),
            ],
        )
        assert socket.recv_fds(theirs, 10, 5)[1]

    counted = run(work)
    assert count(counted, Account.FD_PASSED, FdType.EVENTFD, Passing.SENT) == 2
    assert count(counted, Account.FD_PASSED, FdType.EVENTFD, Passing.RECEIVED) == 2


def array_of(data: bytes) -> Buffer:
    return ctypes.create_string_buffer(data, len(data))


def test_several_messages_in_one_call(run: Run) -> None:
    def work() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        message = array_of(b"x")
        data = iovec(message)
        control = array_of(struct.pack("<Qiiii", 24, *RIGHTS, os.eventfd(0), os.eventfd(0)))
        header = struct.pack(
            "<QQQQQQQQ", 0, 0, address(data), 1, address(control), len(control), 0, 0
        )
        assert call("sendmmsg", ours.fileno(), array_of(3 * header), 3, 0) == 3
        for _ in range(3):
            assert len(socket.recv_fds(theirs, 10, 2)[1]) == 2

    assert passed(run(work)) == (6, 6)


def test_what_is_only_looked_at_is_received_too(run: Run) -> None:
    def work() -> None:
        ours, theirs = socket.socketpair()
        socket.send_fds(ours, [b"x"], [os.eventfd(0)])
        for flags in (socket.MSG_PEEK, 0):
            control = theirs.recvmsg(10, socket.CMSG_LEN(4), flags)[1]
            assert len(control[0][2]) == 4

    assert passed(run(work)) == (1, 2)


def test_a_pidfd_of_the_sender(run: Run) -> None:
    """Made by the kernel for the receiver that asked for it."""

    def work() -> None:
        ours, theirs = socket.socketpair()
        try:
            theirs.setsockopt(socket.SOL_SOCKET, 76, 1)  # SO_PASSPIDFD
        except OSError:
            os.pidfd_open(os.getpid())  # before Linux 6.5
            return
        ours.send(b"x")
        assert theirs.recvmsg(10, 100)[1][0][1] == 4  # SCM_PIDFD

    counted = run(work)
    births = (Birth.SCM_RIGHTS, Birth.ANONYMOUS)
    assert sum(opened(counted, FdType.PIDFD, birth) for birth in births) == 1
    assert balance(counted) == {}
