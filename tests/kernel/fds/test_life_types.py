# SPDX-License-Identifier: GPL-2.0-only
"""A descriptor of every type: opened, duplicated, passed on, inherited and closed."""

import array  # noqa: F401 socket.send_fds imports it: a file that no workload is to open
import mmap
import os
import socket
import struct

import pytest

from fdscope.probes.read.session import Session
from fdscope.probes.schema.taxonomy import Account, Birth, Cause, FdType, Passing
from tests.kernel.conftest import in_child, of_tgid
from tests.kernel.fds.every_fd_type import KINDS, Kind, load_modules, missing
from tests.kernel.fds.fd_life import balance, births, closed, count, fork_and_end

OPENED, DUPLICATED, CLOSED = 7, 3, 4
NOT_PASSED = {FdType.IO_URING}
"""Since Linux 6.7 the kernel passes no io_uring on."""


def test_no_type_is_left_out() -> None:
    assert sorted(kind.fd_type for kind in KINDS) == sorted(set(FdType) - {FdType.OTHER})


@pytest.fixture(scope="module", autouse=True)
def _modules() -> None:
    load_modules()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.fd_type.label)
def test_life_of(kind: Kind, session: Session) -> None:
    why = missing(kind)
    if why:
        pytest.skip(why)
    passed = int(kind.fd_type not in NOT_PASSED)
    child = mmap.mmap(-1, 4)
    # Opened here, so that the workload only inherits them.
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def work() -> None:
        fds = [kind.make() for _ in range(OPENED)]
        for fd in fds[:DUPLICATED]:
            os.dup(fd)
        if passed:
            socket.send_fds(ours, [b"x"], fds[:1])
            assert len(socket.recv_fds(theirs, 1, 1)[1]) == 1
        for fd in fds[:CLOSED]:
            os.close(fd)
        child[:] = struct.pack("I", fork_and_end())

    with ours, theirs:
        tgid = in_child(work)
    counted = of_tgid(session.snapshot(), tgid)
    born = dict(births(counted, kind.fd_type))
    inherited = born.pop(Birth.FORK, 0)
    assert born == {
        kind.birth: OPENED,
        Birth.DUP: DUPLICATED,
        **({Birth.SCM_RIGHTS: passed} if passed else {}),
    }
    for direction in Passing:
        assert count(counted, Account.FD_PASSED, kind.fd_type, direction) == passed
    kept = inherited + OPENED + DUPLICATED + passed - CLOSED
    assert closed(counted, kind.fd_type, Cause.CLOSE) == CLOSED
    assert closed(counted, kind.fd_type, Cause.EXIT) == kept
    assert balance(counted) == {}

    of_child = of_tgid(session.snapshot(), struct.unpack("I", child)[0])
    assert births(of_child, kind.fd_type) == {Birth.FORK: kept}
    assert closed(of_child, kind.fd_type, Cause.EXIT) == kept
    assert balance(of_child) == {}
