# SPDX-License-Identifier: GPL-2.0-only
"""The census against the open descriptors of a process, on the running kernel."""

import os
import resource
import socket
import subprocess
import sys

from fdscope.exporter.accounts.census import CensusTaker
from fdscope.probes.read.census import ProcessFds
from fdscope.probes.read.fd_tables import Missing
from fdscope.probes.read.session import Session
from fdscope.probes.schema.taxonomy import FdType, Stdio
from fdscope.probes.selftest.raw_calls import call
from tests.kernel.conftest import in_child
from tests.kernel.fds.every_fd_type import KINDS, load_modules, missing
from tests.kernel.fds.fd_life import REVERSE_SHELL
from tests.kernel.processes.living import alive


def census_of(session: Session, pid: int) -> ProcessFds:
    assert session.census is not None, "the program of the census could not be loaded"
    found = session.census.fds_of(pid)
    assert isinstance(found, ProcessFds)
    return found


def inherited(session: Session) -> ProcessFds:
    with alive(lambda: None) as pid:
        return census_of(session, pid)


def test_every_fd_type(session: Session) -> None:
    load_modules()
    numbers = {kind: 1 + i % 5 for i, kind in enumerate(KINDS) if not missing(kind)}

    def work() -> None:
        for kind, number in numbers.items():
            for _ in range(number):
                kind.make()

    before = inherited(session)
    with alive(work) as pid:
        found = census_of(session, pid)
        assert found.total == len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208
    more = {t: n - before.counts.get(t, 0) for t, n in found.counts.items()}
    assert {t: n for t, n in more.items() if n > 0} == {
        kind.fd_type: number for kind, number in numbers.items()
    }


def test_who_it_is(session: Session) -> None:
    with alive(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (777, 4000))) as pid:
        found = census_of(session, pid)
        assert found.key.tgid == pid
        assert found.limit == 777
        with open(f"/proc/{pid}/comm", "rb") as comm:  # noqa: PTH123
            assert found.process.name == comm.read().rstrip(b"\n")


def test_ten_thousand_descriptors(session: Session) -> None:
    def work() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (15_000, 15_000))
        fd = os.eventfd(0)
        for _ in range(9_999):
            os.dup(fd)
        os.dup2(fd, 14_999)

    with alive(work) as pid:
        assert census_of(session, pid).counts[FdType.EVENTFD] == 10_001


def test_permission_groups(session: Session) -> None:
    def work() -> None:
        call("fanotify_init", 0, os.O_RDONLY)  # FAN_CLASS_NOTIF
        call("fanotify_init", 4, os.O_RDONLY)  # FAN_CLASS_CONTENT

    with alive(work) as pid:
        found = census_of(session, pid)
    assert found.counts[FdType.FANOTIFY] == 2
    assert found.permission_groups == 1


def test_what_stands_behind_the_standard_fds(session: Session) -> None:
    def work() -> None:
        end, _ = os.openpty()
        os.dup2(end, 0)
        os.dup2(socket.socketpair()[0].detach(), 1)
        os.close(2)

    with alive(work) as pid:
        stdio = census_of(session, pid).stdio
    assert stdio == {Stdio.INPUT: FdType.TTY, Stdio.OUTPUT: FdType.UNIX_STREAM}


def test_a_shell_on_an_inherited_socket(session: Session) -> None:
    """State seen without any event, as after socket activation."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        with client, server:
            fd = client.fileno()
            shell = subprocess.Popen(["/bin/sh"], stdin=fd, stdout=fd, stderr=fd)
            server.sendall(b"echo 1\n")
            server.recv(10)
            stdio = census_of(session, shell.pid).stdio
            server.sendall(b"exit\n")
            shell.wait()
    assert stdio == dict.fromkeys(Stdio, FdType.TCP)


def test_a_reverse_shell(session: Session) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        shell = subprocess.Popen([sys.executable, "-c", REVERSE_SHELL, port])
        server, _ = listener.accept()
        with server:
            server.sendall(b"echo 1\n")
            server.recv(10)
            found = census_of(session, shell.pid)
            server.sendall(b"exit\n")
            shell.wait()
    assert found.process.name == b"sh"
    assert found.stdio == dict.fromkeys(Stdio, FdType.TCP)


def test_who_is_gone(session: Session) -> None:
    assert session.census is not None
    assert session.census.fds_of(in_child(lambda: None)) is Missing.GONE


def test_no_drift_over_a_workload_of_every_type(session: Session) -> None:
    """Open, close, fork, exec, pass: census and events agree."""
    assert session.census is not None
    taker = CensusTaker(session.census, session.fd_flow)
    taker.take()

    kinds = [kind for kind in KINDS if not missing(kind)]

    def work() -> None:
        for kind in kinds:
            kind.make()
        if os.fork() == 0:
            os.execv("/bin/true", ["true"])  # noqa: S606
        os.wait()

    kept = []
    for _ in range(3):
        in_child(work)
        ours, theirs = socket.socketpair()
        socket.send_fds(ours, [b"x"], [ours.fileno(), 0])
        kept += socket.recv_fds(theirs, 10, 2)[1]
        kept += [ours.detach(), theirs.detach(), os.eventfd(0), os.memfd_create("drift")]
        taken = taker.take()
    for fd in kept:
        os.close(fd)
    assert taken is not None
    ours_only = {FdType.EVENTFD, FdType.MEMFD, FdType.UNIX_STREAM, FdType.BPF, FdType.NETLINK}
    assert {t: n for t, n in taken.drift.items() if n and t in ours_only} == {}
    assert taken.unreadable == 0


def test_a_process_whose_leader_has_ended(session: Session) -> None:
    """The descriptors of its other threads show it, and the drift does not see it end."""

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (777, 4000))
        for _ in range(200):
            os.pipe()

    with alive(work, with_leader=False) as pid:
        tids = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208
        worker = next(tid for tid in tids if tid != str(pid))
        found = census_of(session, pid)
        assert found.key.tgid == pid
        assert found.limit == 777
        assert found.counts[FdType.FIFO] >= 400
        assert found.total == len(os.listdir(f"/proc/{pid}/task/{worker}/fd"))  # noqa: PTH208
        assert not found.process.exited


def test_a_process_of_which_nothing_is_left_but_its_number(session: Session) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert census_of(session, pid).total == 0
    os.waitpid(pid, 0)
