# SPDX-License-Identifier: GPL-2.0-only
"""Descriptors in messages of unix sockets that were not passed, or not all of them."""

import os
import socket
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.kernel.conftest import Run
from tests.kernel.fds.fd_life import passed


def to_a_closed_end() -> socket.socket:
    ours, theirs = socket.socketpair()
    theirs.close()
    return ours


def to_nobody() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


def to_a_full_queue() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    with suppress(BlockingIOError):
        while ours.send(b"x" * 1000):
            pass
    theirs.detach()
    return ours


@pytest.mark.parametrize("make", [to_a_closed_end, to_nobody, to_a_full_queue])
def test_a_message_that_cannot_be_sent_passes_nothing(
    make: Callable[[], socket.socket], run: Run
) -> None:
    def work() -> None:
        ours = make()
        with pytest.raises(OSError):  # noqa: PT011
            socket.send_fds(ours, [b"x"], [os.eventfd(0)])

    assert passed(run(work)) == (0, 0)


def test_a_failure_is_forgotten_by_the_next_message(run: Run) -> None:
    def work() -> None:
        fds = [os.eventfd(0)] * 3
        with pytest.raises(BrokenPipeError):
            socket.send_fds(to_a_closed_end(), [b"x"], fds)
        ours, theirs = socket.socketpair()
        ours.sendmsg([b"x"])
        socket.send_fds(ours, [b"x"], fds[:2])
        assert theirs.recv(1) == b"x"
        assert len(socket.recv_fds(theirs, 1, 3)[1]) == 2

    assert passed(run(work)) == (2, 2)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(socket.SOCK_STREAM, 0), (socket.SOCK_DGRAM, 2), (socket.SOCK_SEQPACKET, 2)],
)
def test_a_message_without_bytes(kind: int, expected: int, run: Run) -> None:
    """In a stream there is nothing that descriptors could travel with."""

    def work() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
        theirs.setblocking(False)
        socket.send_fds(ours, [b""], [os.eventfd(0)] * 2)
        try:
            assert len(socket.recv_fds(theirs, 10, 2)[1]) == expected
        except BlockingIOError:
            assert not expected

    assert passed(run(work)) == (expected, expected)


def test_what_finds_no_room_is_not_received(run: Run) -> None:
    def work() -> None:
        ours, theirs = socket.socketpair()
        socket.send_fds(ours, [b"x"], [os.eventfd(0)] * 5)
        _, control, flags, _ = theirs.recvmsg(10, socket.CMSG_LEN(2 * 4))
        assert flags & socket.MSG_CTRUNC
        assert len(control[0][2]) == 8

    assert passed(run(work)) == (5, 2)
