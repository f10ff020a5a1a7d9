# SPDX-License-Identifier: GPL-2.0-only
"""Events of descriptors: connections, standard fds, debugger-like accesses."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

from fdscope.probes.read.session import Session
from fdscope.probes.schema.taxonomy import Account, Birth, Connection, DebugMethod, FdType, Stdio
from fdscope.probes.selftest.raw_calls import call
from tests.kernel.conftest import Run, of_tgid
from tests.kernel.fds.fd_life import LIBC, REVERSE_SHELL, count, opened, tcp_pair


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


def test_a_shell_on_a_socket_that_lives_a_moment(session: Session) -> None:
    """The event shows it when no census has seen it."""
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
