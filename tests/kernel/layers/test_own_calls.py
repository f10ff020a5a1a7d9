# SPDX-License-Identifier: GPL-2.0-only
"""Directory lists and message queues; receives that return more than they copy; filesystems."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from fdscope.probes.read.session import Session
from fdscope.probes.schema.slots import slot
from fdscope.probes.schema.taxonomy import Account, Door, FdType, Scope
from fdscope.probes.selftest.fds import Ends, mqueue, tcp, udp, unix_dgram
from fdscope.probes.selftest.raw_calls import buffer, call
from tests.kernel.conftest import Run
from tests.kernel.layers.test_more_doors import needs

READ, WRITE = Account.FILE_READ, Account.FILE_WRITE


def entries(path: str) -> int:
    """Bytes of the list of a directory, up to the call that returns 0."""
    fd, total = os.open(path, os.O_RDONLY), 0
    while count := call("getdents64", fd, buffer(1024), 1024):
        total += count
    os.close(fd)
    return total


def test_directory_list(session: Session, run: Run) -> None:
    needs(session, Door.DIRECTORY_CALL)
    counted = run(lambda: entries("/usr"))
    amount = counted[READ, FdType.DIRECTORY, Door.DIRECTORY_CALL, 0]
    assert amount.bytes == entries("/usr") > 0
    assert amount.operations >= 2


def test_message_queue(session: Session, run: Run) -> None:
    needs(session, Door.MQUEUE_CALL)

    def work() -> None:
        ends, into = mqueue(), buffer(8192)
        for size in (1, 57, 1000):
            call("mq_timedsend", ends.write, bytes(size), size, 0, None)
            assert call("mq_timedreceive", ends.read, into, 8192, None, None) == size
        with pytest.raises(OSError, match="long"):
            call("mq_timedsend", ends.write, bytes(9000), 9000, 0, None)

    counted = run(work)
    assert counted[WRITE, FdType.MQUEUE, Door.MQUEUE_CALL, 0] == (3, 1058)
    assert counted[READ, FdType.MQUEUE, Door.MQUEUE_CALL, 0] == (3, 1058)
    assert counted[WRITE, FdType.MQUEUE, Door.MQUEUE_CALL, 90].operations == 1  # EMSGSIZE


@pytest.mark.parametrize(
    ("make", "fd_type", "scope"),
    [
        (udp, FdType.UDP, Scope.LOOPBACK),
        (unix_dgram, FdType.UNIX_DGRAM, Scope.LOCAL),
        (tcp, FdType.TCP, Scope.LOOPBACK),
    ],
)
def test_truncated_receives_stand_apart(
    make: Callable[[], Ends], fd_type: FdType, scope: Scope, session: Session, run: Run
) -> None:
    """Of a datagram of 500 bytes a buffer of 100 holds 100, and 500 is returned."""

    def work() -> None:
        ends = make()
        one, other = socket.socket(fileno=ends.write), socket.socket(fileno=ends.read)
        for _ in range(2):
            one.send(bytes(500))
            room = 500 if fd_type is FdType.TCP else 100
            into = bytearray(room)
            assert other.recv_into(into, room, socket.MSG_TRUNC) == 500
        one.send(bytes(500))
        into = bytearray(500)
        assert other.recvmsg_into([into], 0, socket.MSG_TRUNC)[0] == 500
        one.send(bytes(70))
        assert len(other.recv(70)) == 70

    counted = run(work)
    assert counted[Account.FILE_TRUNCATE, fd_type, Door.SOCKET_CALL, 0] == (3, 1500)
    assert counted[READ, fd_type, Door.SOCKET_CALL, 0] == (1, 70)
    if session.sees_sockets:
        assert counted[Account.SOCKET_TRUNCATE, fd_type, scope, 0] == (3, 1500)
        assert counted[Account.SOCKET_RECEIVE, fd_type, scope, 0] == (1, 70)


def test_filesystems(session: Session, run: Run) -> None:
    """Bytes by the filesystem behind the file: at least what this process moved."""

    def of(name: str, fd_type: FdType, account: Account) -> int:
        return session.snapshot().filesystems.get((name, fd_type, account), 0)

    def work() -> None:
        fd = os.memfd_create("fdscope")
        os.write(fd, bytes(1_000_003))
        os.pread(os.open("/proc/self/stat", os.O_RDONLY), 4096, 0)
        entries("/proc/self")

    before = [of("tmpfs", FdType.MEMFD, WRITE), of("proc", FdType.REGULAR, READ)]
    counted = run(work)
    assert of("tmpfs", FdType.MEMFD, WRITE) - before[0] >= 1_000_003
    proc_bytes = counted[READ, FdType.REGULAR, Door.READ_WRITE, 0].bytes
    assert of("proc", FdType.REGULAR, READ) - before[1] >= proc_bytes > 0
    if Door.DIRECTORY_CALL.label not in session.blind_doors:
        assert of("proc", FdType.DIRECTORY, READ) > 0


def test_filesystems_agree_with_the_processes(session: Session) -> None:
    """What is read from regular files, of the whole host: the same by filesystem and process."""

    def difference() -> int:
        snapshot = session.snapshot()
        by_process = sum(
            amount.bytes
            for amounts in (*snapshot.amounts.values(), snapshot.overflow)
            for code, amount in amounts.items()
            if slot(code)[:2] == (READ, FdType.REGULAR)
        )
        by_filesystem = sum(
            count
            for (_, fd_type, account), count in snapshot.filesystems.items()
            if (fd_type, account) == (FdType.REGULAR, READ)
        )
        return by_filesystem - by_process

    def settled() -> int:
        """The maps are read one after the other, filesystems last: what comes between adds."""
        return min(difference() for _ in range(200))

    forgotten = settled()  # processes that earlier tests took out of the maps
    with Path(__file__).open("rb") as file:
        for _ in range(1000):
            file.seek(0)
            file.read()
    assert settled() == forgotten
