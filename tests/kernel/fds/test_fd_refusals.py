# SPDX-License-Identifier: GPL-2.0-only
"""Calls refused for their descriptor: none is free, none is open, or it is no socket."""

import ctypes
import errno
import fcntl
import os
import resource
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from fdscope.probes.read.session import Session
from fdscope.probes.schema.taxonomy import Account, Birth, Door, FdType, Mode
from fdscope.probes.selftest.raw_calls import Messages, Ring, address, buffer, call, iovec
from tests.kernel.conftest import Counted, Run
from tests.kernel.fds.every_fd_type import LIBC
from tests.kernel.layers.test_doors import a_file, a_memfd, a_pipe
from tests.kernel.layers.test_more_doors import needs

READ, WRITE = Account.FILE_READ, Account.FILE_WRITE
BAD = 999
FILE_MAX = Path("/proc/sys/fs/file-max")
NOBODY = 65534


def refusals(counted: Counted) -> dict[tuple[Birth, int], int]:
    """By how the descriptor would have been opened, and errno."""
    return {
        (Birth(via), number): amount.operations
        for (account, _, via, number), amount in counted.items()
        if account is Account.FD_REFUSED
    }


def fails_with(number: int, work: Callable[[], object]) -> None:
    with pytest.raises(OSError) as raised:  # noqa: PT011
        work()
    assert raised.value.errno == number, raised.value


def libc(name: str, *arguments: object) -> int:
    """A function of libc; OSError if it fails."""
    result: int = getattr(LIBC, name)(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def full_table() -> socket.socket:
    """Leaves no number free; a listening socket with a connection that waits for accept."""
    listener = socket.create_server(("127.0.0.1", 0))
    socket.create_connection(listener.getsockname()).detach()
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, 4096))
    return listener


def test_none_is_free_in_the_process(session: Session, run: Run) -> None:
    def work() -> None:
        one, other = socket.socketpair()
        socket.send_fds(one, [b"x"], [0])
        listener = full_table()
        for _ in range(3):
            fails_with(errno.EMFILE, lambda: os.open("/dev/null", os.O_RDONLY))
        fails_with(errno.EMFILE, lambda: socket.socket())
        fails_with(errno.EMFILE, lambda: socket.socketpair())
        fails_with(errno.EMFILE, lambda: listener.accept())
        fails_with(errno.EMFILE, os.pipe)
        fails_with(errno.EMFILE, lambda: os.dup(0))
        fails_with(errno.EMFILE, lambda: fcntl.fcntl(0, fcntl.F_DUPFD, 0))
        fails_with(errno.EMFILE, lambda: libc("eventfd", 0, 0))
        fails_with(errno.EMFILE, lambda: call("epoll_create1", 0))
        fails_with(errno.EMFILE, lambda: libc("timerfd_create", 1, 0))
        fails_with(errno.EMFILE, lambda: libc("inotify_init"))
        fails_with(errno.EMFILE, lambda: libc("memfd_create", b"x", 0))
        fails_with(errno.EMFILE, lambda: call("io_uring_setup", 1, buffer(120)))
        fails_with(errno.EMFILE, lambda: os.pidfd_open(os.getpid()))
        other.recvmsg(1, 64)  # the message comes, without its descriptor

    counted = run(work)
    expected = {
        (Birth.OPEN, errno.EMFILE): 3,
        (Birth.SOCKET, errno.EMFILE): 2,
        (Birth.ACCEPT, errno.EMFILE): 1,
        (Birth.PIPE, errno.EMFILE): 1,
        (Birth.DUP, errno.EMFILE): 2,
        (Birth.ANONYMOUS, errno.EMFILE): 7,
    }
    if session.mode is not Mode.TRACEPOINT:  # there a blind spot: the call succeeds
        expected[Birth.SCM_RIGHTS, errno.EMFILE] = 1
    assert refusals(counted) == expected


@pytest.mark.skipif(
    "FDSCOPE_VM_CELL" not in os.environ,
    reason="fs.file-max is the whole machine's: it is lowered in guests only",
)
def test_none_is_free_in_the_system(run: Run) -> None:
    """Root is exempt from the limit, so all other programs of the guest go on."""

    def work() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        socket.create_connection(listener.getsockname()).detach()
        os.setresuid(NOBODY, NOBODY, NOBODY)
        for _ in range(3):
            fails_with(errno.ENFILE, lambda: os.open("/dev/null", os.O_RDONLY))
        fails_with(errno.ENFILE, lambda: socket.socket())
        fails_with(errno.ENFILE, lambda: socket.socketpair())
        fails_with(errno.ENFILE, lambda: listener.accept())
        fails_with(errno.ENFILE, os.pipe)
        fails_with(errno.ENFILE, lambda: libc("eventfd", 0, 0))
        fails_with(errno.ENFILE, lambda: call("epoll_create1", 0))
        fails_with(errno.ENFILE, lambda: libc("timerfd_create", 1, 0))
        fails_with(errno.ENFILE, lambda: libc("memfd_create", b"x", 0))
        os.dup(0)  # of an open file there is another number

    before = FILE_MAX.read_text()
    FILE_MAX.write_text("1")
    try:
        counted = run(work)
    finally:
        FILE_MAX.write_text(before)
    assert refusals(counted) == {
        (Birth.OPEN, errno.ENFILE): 3,
        (Birth.SOCKET, errno.ENFILE): 2,
        (Birth.ACCEPT, errno.ENFILE): 1,
        (Birth.PIPE, errno.ENFILE): 1,
        (Birth.ANONYMOUS, errno.ENFILE): 4,
    }


def test_none_is_there(session: Session, run: Run) -> None:
    """In function modes only calls that take the descriptor to a function that is hooked."""
    needs(session, Door.COPY_FILE_RANGE)

    def work() -> None:
        data = buffer(8)
        fails_with(errno.EBADF, lambda: os.sendfile(a_memfd()[0], BAD, 0, 1))
        fails_with(errno.EBADF, lambda: os.sendfile(BAD, a_file()[0], 0, 1))
        fails_with(errno.EBADF, lambda: os.copy_file_range(BAD, a_file()[0], 1))
        fails_with(errno.EBADF, lambda: libc("send", BAD, data, 1, 0))
        fails_with(errno.EBADF, lambda: libc("recv", BAD, data, 1, 0))
        fails_with(errno.EBADF, lambda: call("getdents64", BAD, data, 8))
        fails_with(errno.EBADF, lambda: libc("connect", BAD, data, 8))

    counted = run(work)
    assert refusals(counted) == {(Birth.OTHER, errno.EBADF): 7}
    assert not any(key[3] for key in counted if key[0].is_file)


def test_none_is_there_for_calls_of_the_fast_path(session: Session, run: Run) -> None:
    def work() -> None:
        data = buffer(8)
        fails_with(errno.EBADF, lambda: os.read(BAD, 1))
        fails_with(errno.EBADF, lambda: os.write(BAD, b"x"))
        fails_with(errno.EBADF, lambda: os.writev(BAD, [b"x"]))
        fails_with(errno.EBADF, lambda: os.close(BAD))
        fails_with(errno.EBADF, lambda: os.dup(BAD))
        fails_with(errno.EBADF, lambda: Messages(1, 1).send(BAD))
        path = os.open("/", os.O_PATH)
        fails_with(errno.EBADF, lambda: os.read(path, 1))
        fails_with(errno.EBADF, lambda: call("vmsplice", BAD, iovec(data), 1, 0))

    counted = run(work)
    seen = 8 if session.mode is Mode.TRACEPOINT else 1
    assert refusals(counted) == {(Birth.OTHER, errno.EBADF): seen}
    assert not any(key[3] for key in counted if key[0].is_file)


def test_it_is_no_socket(session: Session, run: Run) -> None:
    def work() -> None:
        fd, data = a_file()[0], buffer(8)
        fails_with(errno.ENOTSOCK, lambda: libc("send", fd, data, 1, 0))
        fails_with(errno.ENOTSOCK, lambda: libc("recv", fd, data, 1, 0))
        fails_with(errno.ENOTSOCK, lambda: libc("connect", fd, data, 8))
        fails_with(errno.ENOTSOCK, lambda: libc("sendmsg", fd, buffer(56), 0))

    counted = run(work)
    seen = 4 if session.mode is Mode.TRACEPOINT else 3
    assert refusals(counted) == {(Birth.OTHER, errno.ENOTSOCK): seen}
    assert not any(key[3] for key in counted if key[0].is_file)


@pytest.mark.parametrize("shared", [False, True])
def test_a_file_opened_for_the_other_direction_fails_an_operation(shared: bool, run: Run) -> None:
    """With a table that is shared the files are looked up on entry as well."""
    from tests.kernel.fds.test_tables import in_company

    def work() -> None:
        pipe_in, pipe_out = a_pipe()
        fails_with(errno.EBADF, lambda: os.read(pipe_in, 1))
        fails_with(errno.EBADF, lambda: os.write(pipe_out, b"x"))
        fails_with(errno.EBADF, lambda: os.readv(pipe_in, [bytearray(1)]))
        reader = os.open("/dev/zero", os.O_RDONLY)
        fails_with(errno.EBADF, lambda: os.sendfile(reader, a_file()[0], 0, 1))
        fails_with(errno.EBADF, lambda: os.splice(pipe_in, pipe_in, 1))

    counted = run((lambda: in_company(work)) if shared else work)
    bad = errno.EBADF
    assert counted[READ, FdType.FIFO, Door.READ_WRITE, bad] == (1, 0)
    assert counted[WRITE, FdType.FIFO, Door.READ_WRITE, bad] == (1, 0)
    assert counted[READ, FdType.FIFO, Door.VECTORED, bad] == (1, 0)
    assert counted[READ, FdType.REGULAR, Door.SENDFILE, bad] == (1, 0)
    assert counted[WRITE, FdType.CHARACTER, Door.SENDFILE, bad] == (1, 0)
    assert counted[READ, FdType.FIFO, Door.SPLICE, bad] == (1, 0)
    assert counted[WRITE, FdType.FIFO, Door.SPLICE, bad] == (1, 0)
    assert not refusals(counted)


def test_io_uring(session: Session, run: Run) -> None:
    needs(session, Door.IO_URING)

    def work() -> None:
        ring, data = Ring(), buffer(8)
        pipe_in, _ = a_pipe()
        for fd in (BAD, pipe_in):
            with suppress(OSError):
                ring.run(Ring.READ, fd, address(data), 8)

    counted = run(work)
    assert refusals(counted) == {(Birth.OTHER, errno.EBADF): 1}
    assert counted[READ, FdType.FIFO, Door.IO_URING, errno.EBADF] == (1, 0)
