# SPDX-License-Identifier: GPL-2.0-only
"""Descriptors that io_uring opens and closes: no system call returns them."""

import array
import os
import socket
from collections.abc import Callable

import pytest

from fdscope.exporter.accounts.census import CensusTaker, Taken
from fdscope.probes.read.session import Session
from fdscope.probes.schema.taxonomy import Birth, Cause, FdType, Mode
from fdscope.probes.selftest.raw_calls import Ring, address, buffer, call
from tests.kernel.conftest import Run
from tests.kernel.fds.fd_life import births, closed, opened

ACCEPT, OPENAT, CLOSE, SOCKET = 13, 18, 19, 45
AT_FDCWD = -100
ASYNC = 1 << 4
"""IOSQE_ASYNC: done by a worker thread of the ring."""
OPENED = 5


def open_file(ring: Ring, sqe_flags: int, file_index: int = 0) -> int:
    path = buffer(100)
    path.value = b"/proc/self/stat"
    return ring.run(OPENAT, AT_FDCWD, address(path), 0, sqe_flags=sqe_flags, file_index=file_index)


def make_socket(ring: Ring, sqe_flags: int) -> int:
    return ring.run(SOCKET, socket.AF_INET, 0, 0, socket.SOCK_STREAM, sqe_flags)


def accept(ring: Ring, sqe_flags: int) -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        socket.create_connection(listener.getsockname()).detach()
        return ring.run(ACCEPT, listener.fileno(), 0, 0, 0, sqe_flags)


def seen(session: Session, number: int) -> int:
    """The events that show it."""
    return 0 if session.mode is Mode.TRACEPOINT else number


def works(make: Callable[[], int]) -> bool:
    """True if it makes a descriptor."""
    pid = os.fork()
    if pid == 0:
        os._exit(make() < 0)
    return os.waitpid(pid, 0)[1] == 0


@pytest.mark.parametrize("sqe_flags", [0, ASYNC], ids=["at once", "by a worker"])
@pytest.mark.parametrize(
    ("make", "fd_type"),
    [(open_file, FdType.REGULAR), (make_socket, FdType.TCP), (accept, FdType.TCP)],
)
def test_opened_and_closed(
    make: Callable[[Ring, int], int], fd_type: FdType, sqe_flags: int, session: Session, run: Run
) -> None:
    if not works(lambda: make(Ring(), 0)):
        pytest.skip("this kernel's io_uring has no such operation")

    def work() -> None:
        ring = Ring()
        fds = [make(ring, sqe_flags) for _ in range(OPENED)]
        assert min(fds) > 0
        for fd in fds[:3]:
            assert ring.run(CLOSE, fd, 0, 0, sqe_flags=sqe_flags) == 0

    counted = run(work)
    assert births(counted, fd_type).get(Birth.IO_URING, 0) == seen(session, OPENED)
    assert closed(counted, fd_type, Cause.IO_URING) == seen(session, 3)


def test_a_file_without_a_descriptor_is_none(run: Run) -> None:
    """It is in the ring's own table: not seen in any mode, nor in a census."""

    def work() -> None:
        ring = Ring()
        free = array.array("i", [-1]).tobytes()
        call("io_uring_register", ring.fd, 2, free, 1)  # IORING_REGISTER_FILES
        before = os.listdir("/proc/self/fd")  # noqa: PTH208
        assert open_file(ring, 0, file_index=1) in (0, -22)  # -EINVAL before Linux 5.15
        assert os.listdir("/proc/self/fd") == before  # noqa: PTH208

    counted = run(work)
    assert not any(opened(counted, fd_type, Birth.IO_URING) for fd_type in FdType)


def test_the_census_has_what_the_events_miss(session: Session) -> None:
    """Terminals: hardly any other program opens one meanwhile."""
    assert session.census is not None
    taker = CensusTaker(session.census, session.fd_flow)
    ring = Ring()
    path = buffer(100)
    path.value = b"/dev/ptmx"
    before = taker.take()
    fds = [
        ring.run(OPENAT, AT_FDCWD, address(path), 0, flags=os.O_RDWR | os.O_NOCTTY)
        for _ in range(OPENED)
    ]
    taker.take()
    after = taker.take()  # a drift counts when two in a row have it
    for fd in (*fds, ring.fd):
        os.close(fd)
    assert before is not None
    assert after is not None
    assert own_terminals(after) - own_terminals(before) == OPENED
    drift = after.drift[FdType.TTY]
    assert drift == (OPENED if session.mode is Mode.TRACEPOINT else 0)


def own_terminals(taken: Taken) -> int:
    (own,) = (fds for key, fds in taken.processes.items() if key.tgid == os.getpid())
    return own.counts.get(FdType.TTY, 0)
