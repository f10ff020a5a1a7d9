# SPDX-License-Identifier: GPL-2.0-only
"""sendfile and splice to a socket with a slow peer: half done, they leave no residual."""

import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from fdscope.exporter.accounts.ledger import Residuals, Side, ledger
from fdscope.probes.read.session import Session
from fdscope.probes.schema.snapshot import Snapshot
from fdscope.probes.schema.taxonomy import FdType
from tests.kernel.conftest import end_child, start_child

BYTES = 16 << 20
PIPE_BYTES = 1 << 20
WAIT_SECONDS = 30
TCP_SENT = Side(FdType.TCP, "sent")


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
    return client, accepted


def send_file(out: int, file: int) -> None:
    assert os.sendfile(out, file, 0, BYTES) == BYTES


def splice(out: int, file: int) -> None:
    """The kernel sends 16 pages at a time, so the pipe holds more of them."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    left = BYTES
    while left:
        piped = os.splice(file, writer, min(left, PIPE_BYTES))
        left -= piped
        while piped:
            piped -= os.splice(reader, out, piped)


@contextmanager
def under_way(call: Callable[[int, int], None]) -> Iterator[socket.socket]:
    """The call in a separate process, and the other end of its connection."""
    file = os.memfd_create("transfer")
    os.truncate(file, BYTES)
    ours, theirs = tcp_pair()

    def work() -> None:
        ours.close()
        call(theirs.fileno(), file)

    pid = start_child(work)
    theirs.close()
    os.close(file)
    try:
        with ours:
            yield ours
    finally:
        end_child(pid)


def moving(session: Session) -> Snapshot:
    """A reading while bytes are in flight to a TCP socket."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        snapshot = session.snapshot()
        if snapshot.under_way.after.get(FdType.TCP, 0):
            return snapshot
        time.sleep(0.1)
    pytest.fail("nothing is in flight to a TCP socket")


def tcp_residual(residuals: Residuals, snapshot: Snapshot) -> int:
    lines = ledger((*snapshot.amounts.values(), snapshot.overflow), snapshot.under_way)
    return residuals.update(lines).get(TCP_SENT, 0)


@pytest.mark.parametrize("call", [send_file, splice])
def test_half_done(session: Session, call: Callable[[int, int], None]) -> None:
    if not session.sees_sockets:
        pytest.skip("this kernel shows no socket layer in this mode")
    residuals = Residuals()
    for _ in range(5):
        assert not tcp_residual(residuals, session.snapshot())
    with under_way(call) as peer:
        before = moving(session).under_way.after[FdType.TCP]
        assert 0 < before < BYTES
        for _ in range(6):
            assert not tcp_residual(residuals, session.snapshot())
        taken = 0
        while taken < BYTES:
            taken += len(peer.recv(1 << 20))
    last = session.snapshot()
    assert not tcp_residual(residuals, last)
    assert not last.under_way.after


def test_a_call_that_fails_is_not_under_way(session: Session) -> None:
    """Later sends of the thread are not a part of it."""
    ours, theirs = tcp_pair()
    with ours, theirs:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.sendfile(theirs.fileno(), 1 << 20, 0, BYTES)
        theirs.send(b"seven77")
        assert FdType.TCP not in session.snapshot().under_way.after
