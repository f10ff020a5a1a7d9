# SPDX-License-Identifier: GPL-2.0-only
"""Programs of 32 bits on a 64-bit kernel: calls of other numbers, registers and structs."""

import os
import socket
import threading

import pytest

from fdscope.probes.read.session import Session
from fdscope.probes.schema.taxonomy import Account, Birth, Door, FdType, Loss, Scope
from fdscope.probes.selftest.fds import mqueue
from tests.kernel.conftest import Run
from tests.kernel.fds.fd_life import births
from tests.kernel.layers.test_doors import a_file, a_pipe
from tests.kernel.layers.test_more_doors import needs
from tests.kernel.processes.int80 import Int80, works

READ, WRITE = Account.FILE_READ, Account.FILE_WRITE
SIZE = 101
# arch/x86/entry/syscalls/syscall_32.tbl
_READ, _WRITE, _SOCKETCALL, _READV, _WRITEV, _SENDFILE64 = 3, 4, 102, 145, 146, 239
_GETDENTS, _GETDENTS64, _MQ_SEND, _MQ_RECEIVE = 141, 220, 279, 280
_VMSPLICE, _SENDTO, _RECVFROM = 316, 369, 371
# include/uapi/linux/net.h
_SEND, _RECV, _SENDMSG, _RECVMSG, _RECVMMSG, _SENDMMSG = 9, 10, 16, 17, 19, 20


@pytest.fixture(autouse=True)
def _runs_32_bits() -> None:
    if not works():
        pytest.skip("this kernel runs no 32-bit x86 programs")


def test_files(run: Run) -> None:
    def work() -> None:
        call = Int80()
        data = call.put(bytes(SIZE))
        vector = call.words(data, SIZE)
        pipe_in, pipe_out = a_pipe()
        assert call(_WRITE, pipe_in, data, SIZE) == SIZE
        assert call(_READ, pipe_out, data, SIZE) == SIZE
        assert call(_WRITEV, pipe_in, vector, 1) == SIZE
        assert call(_READV, pipe_out, vector, 1) == SIZE
        fd, _ = a_file()
        os.truncate(fd, SIZE)
        assert call(_SENDFILE64, pipe_in, fd, 0, SIZE) == SIZE
        assert call(_VMSPLICE, pipe_out, vector, 1, 0) == SIZE

    counted = run(work)
    for account in (READ, WRITE):
        assert counted[account, FdType.FIFO, Door.READ_WRITE, 0] == (1, SIZE)
        assert counted[account, FdType.FIFO, Door.VECTORED, 0] == (1, SIZE)
    assert counted[READ, FdType.REGULAR, Door.SENDFILE, 0] == (1, SIZE)
    assert counted[WRITE, FdType.FIFO, Door.SENDFILE, 0] == (1, SIZE)
    assert counted[READ, FdType.FIFO, Door.SPLICE, 0] == (1, SIZE)


def messages(call: Int80, count: int) -> int:
    """Address of a vector of struct compat_mmsghdr, each of SIZE bytes."""
    vector = call.words(call.put(bytes(SIZE)), SIZE)
    return call.words(*[0, 0, vector, 1, 0, 0, 0, 0] * count)


@pytest.mark.parametrize("threads", [False, True])
def test_socketcall(threads: bool, session: Session, run: Run) -> None:
    """With threads the descriptors are looked up on entry as well."""

    def exchange() -> None:
        call = Int80()
        data = call.put(bytes(SIZE))
        one, other = (s.detach() for s in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))

        def socketcall(number: int, *arguments: int) -> int:
            return call(_SOCKETCALL, number, call.words(*arguments))

        assert socketcall(_SEND, one, data, SIZE, 0) == SIZE
        assert socketcall(_RECV, other, data, SIZE, socket.MSG_PEEK) == SIZE
        assert socketcall(_RECV, other, data, SIZE, 0) == SIZE
        assert socketcall(_SENDMSG, one, messages(call, 1), 0) == SIZE
        assert socketcall(_RECVMSG, other, messages(call, 1), 0) == SIZE
        assert socketcall(_SENDMMSG, one, messages(call, 5), 5, 0) == 5
        assert socketcall(_RECVMMSG, other, messages(call, 5), 5, 0, 0) == 5
        assert call(_SENDTO, one, data, SIZE, 0, 0) == SIZE
        assert call(_RECVFROM, other, data, SIZE, 0, 0) == SIZE

    def work() -> None:
        if not threads:
            exchange()
            return
        done = threading.Event()
        waiting = threading.Thread(target=done.wait)
        waiting.start()
        exchange()
        done.set()
        waiting.join()

    counted = run(work)
    for account in (READ, WRITE):
        assert counted[account, FdType.UNIX_DGRAM, Door.SOCKET_CALL, 0] == (8, 8 * SIZE)
    assert counted[Account.FILE_PEEK, FdType.UNIX_DGRAM, Door.SOCKET_CALL, 0] == (1, SIZE)
    for account in (Account.SOCKET_SEND, Account.SOCKET_RECEIVE):
        assert not session.sees_sockets or (
            counted[account, FdType.UNIX_DGRAM, Scope.LOCAL, 0] == (8, 8 * SIZE)
        )


def test_arguments_of_socketcall_that_the_kernel_cannot_read(session: Session, run: Run) -> None:
    """It refuses the call: nothing is lost, and no descriptor is blamed for it."""
    bad, times = 8, 50

    def work() -> None:
        call = Int80()
        one, other = (s.detach() for s in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
        os.dup2(one, 0)  # the number that a failed reading could be taken for
        os.dup2(other, 1)
        for number in (_SEND, _RECV, _SENDMSG, _RECVMSG, _RECVMMSG, _SENDMMSG) * times:
            with pytest.raises(OSError, match="Bad address"):
                call(_SOCKETCALL, number, bad)

    before = session.snapshot().losses[Loss.USER_MEMORY]
    counted = run(work)
    assert session.snapshot().losses[Loss.USER_MEMORY] - before < times
    assert not any(key[3] for key in counted if key[1] is FdType.UNIX_DGRAM)


def test_other_calls(session: Session, run: Run) -> None:
    needs(session, Door.DIRECTORY_CALL)
    needs(session, Door.MQUEUE_CALL)
    listed = []

    def work() -> None:
        call = Int80()
        entries = call.put(bytes(8192))
        for number in (_GETDENTS, _GETDENTS64):
            listed.append(call(number, os.open("/usr", os.O_RDONLY), entries, 8192))
        assert min(listed) > 0
        queue, data = mqueue().read, call.put(bytes(8192))
        assert call(_MQ_SEND, queue, data, SIZE, 0, 0) == 0
        assert call(_MQ_RECEIVE, queue, data, 8192, 0, 0) == SIZE
        os._exit(0)

    counted = run(work)
    assert counted[READ, FdType.DIRECTORY, Door.DIRECTORY_CALL, 0].operations == 2
    assert counted[READ, FdType.MQUEUE, Door.MQUEUE_CALL, 0] == (1, SIZE)
    assert counted[WRITE, FdType.MQUEUE, Door.MQUEUE_CALL, 0] == (1, SIZE)


def test_sockets_of_socketcall_are_opened_as_sockets(run: Run) -> None:
    def work() -> None:
        call = Int80()
        for _ in range(3):
            assert call(_SOCKETCALL, 1, call.words(socket.AF_INET, socket.SOCK_DGRAM, 0)) >= 0
        assert (
            call(
                _SOCKETCALL, 8, call.words(socket.AF_UNIX, socket.SOCK_DGRAM, 0, call.put(bytes(8)))
            )
            == 0
        )

    counted = run(work)
    assert births(counted, FdType.UDP) == {Birth.SOCKET: 3}
    assert births(counted, FdType.UNIX_DGRAM) == {Birth.SOCKET: 2}
