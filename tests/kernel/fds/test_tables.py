# SPDX-License-Identifier: GPL-2.0-only
"""Whole tables of descriptors: copied by fork, closed by exec and exit, shared."""

import fcntl
import mmap
import os
import platform
import resource
import select
import signal
import struct
import threading
import time
from collections.abc import Callable

import pytest

from fdscope.probes.attach.source import FD_WALK_CALLS, FDS_A_CALL, FURTHER_WALKS, loops
from fdscope.probes.kernel.btf import Btf
from fdscope.probes.read.session import Session
from fdscope.probes.schema.taxonomy import Birth, Cause, FdType, Loss
from tests.kernel.conftest import Run, in_child, of_tgid, start_child
from tests.kernel.fds.fd_life import balance, births, closed, fork_and_end, opened, syscall_of_libc


def execute() -> None:
    os.execv("/bin/true", ["true"])  # noqa: S606


def execute_in_a_thread() -> None:
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    threading.Thread(target=execute).start()
    time.sleep(60)


@pytest.mark.parametrize("execute_program", [execute, execute_in_a_thread])
def test_fork_and_exec(execute_program: Callable[[], None], session: Session) -> None:
    """Descriptors that the child inherits, and those that exec closes."""
    read_fd, write_fd = os.pipe()

    def work() -> None:
        for _ in range(4):
            os.eventfd(0, 0)  # stays over exec
        for _ in range(3):
            os.eventfd(0, os.EFD_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            execute_program()
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


CLONE_FILES = 0x400


def clone_files(work: Callable[[], None]) -> int:
    """A process that shares the table of descriptors with this one, and ends after ``work``."""
    number = {"x86_64": 56, "aarch64": 220}[platform.machine()]
    pid = syscall_of_libc(number, CLONE_FILES | 17, 0, 0, 0, 0)  # SIGCHLD
    if pid == 0:
        work()
        os._exit(0)
    return pid


def test_a_table_that_processes_share_ends_with_the_last(session: Session) -> None:
    shared = mmap.mmap(-1, 4)
    read_fd, write_fd = os.pipe()

    def opens_and_lives_on() -> None:
        for _ in range(3):
            os.eventfd(0)
        os.close(write_fd)
        os.read(read_fd, 1)  # until the test closes its end

    def work() -> None:
        for _ in range(4):
            os.eventfd(0)
        ended = clone_files(lambda: os.close(os.eventfd(0)))
        os.waitpid(ended, 0)
        shared[:] = struct.pack("I", clone_files(opens_and_lives_on))

    first = in_child(work)
    last = struct.unpack("I", shared)[0]
    pidfd = os.pidfd_open(last)
    os.close(write_fd)
    select.select([pidfd], [], [])
    os.close(pidfd)
    os.close(read_fd)
    snapshot = session.snapshot()
    of_first, of_last = of_tgid(snapshot, first), of_tgid(snapshot, last)
    assert births(of_first, FdType.EVENTFD) == {Birth.ANONYMOUS: 4}
    assert births(of_last, FdType.EVENTFD) == {Birth.ANONYMOUS: 3}
    assert closed(of_first, FdType.EVENTFD, Cause.EXIT) == 0
    assert closed(of_last, FdType.EVENTFD, Cause.EXIT) == 7


def in_company(work: Callable[[], None]) -> None:
    """Does the work while another thread uses the same table of descriptors."""
    done = threading.Event()
    waiting = threading.Thread(target=done.wait)
    waiting.start()
    try:
        work()
    finally:
        done.set()
        waiting.join()


def may_have(number: int) -> None:
    """Skip the test if no process can have so many descriptors."""
    try:
        in_child(lambda: allow(number))
    except AssertionError:
        pytest.skip(f"no process here may have {number} descriptors")


def allow(number: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))


def many(number: int, flags: int = 0) -> None:
    """Open so many descriptors, close-on-exec according to ``flags``."""
    allow(number + 1000)
    fd = os.eventfd(0)
    duplicate = fcntl.F_DUPFD_CLOEXEC if flags else fcntl.F_DUPFD
    for _ in range(number):
        fcntl.fcntl(fd, duplicate, 0)
    os.close(fd)


@pytest.mark.parametrize("number", [9_999, 20_000, 200_000])
def test_thousands_of_fds(number: int, session: Session) -> None:
    """A process that forks and is killed: its descriptors and its child's are counted."""
    may_have(number + 1000)
    shared = mmap.mmap(-1, 4)

    def work() -> None:
        many(number)
        shared[:] = struct.pack("I", fork_and_end())
        os.kill(os.getpid(), signal.SIGKILL)

    unseen = session.snapshot().losses[Loss.FDS_UNSEEN]
    pid = start_child(work)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    snapshot = session.snapshot()
    counted = of_tgid(snapshot, pid)
    assert opened(counted, FdType.EVENTFD, Birth.DUP) == number
    assert closed(counted, FdType.EVENTFD, Cause.EXIT) == number
    assert balance(counted) == {}
    of_child = of_tgid(snapshot, struct.unpack("I", shared)[0])
    assert opened(of_child, FdType.EVENTFD, Birth.FORK) == number
    assert closed(of_child, FdType.EVENTFD, Cause.EXIT) == number
    assert balance(of_child) == {}
    assert snapshot.losses[Loss.FDS_UNSEEN] == unseen


def test_thousands_of_fds_that_exec_closes(session: Session, run: Run) -> None:
    number = 20_000
    may_have(number + 1000)

    def work() -> None:
        os.eventfd(0, 0)
        many(number, fcntl.FD_CLOEXEC)
        execute()

    unseen = session.snapshot().losses[Loss.FDS_UNSEEN]
    counted = run(work)
    assert closed(counted, FdType.EVENTFD, Cause.EXEC) == number
    assert closed(counted, FdType.EVENTFD, Cause.EXIT) == 1
    assert balance(counted) == {}
    assert session.snapshot().losses[Loss.FDS_UNSEEN] == unseen


def test_a_huge_table_with_few_fds(session: Session, run: Run) -> None:
    most = 1_000_000
    may_have(most)

    def work() -> None:
        allow(most)
        fd = os.eventfd(0)
        for number in (most // 3, most // 2, most - 1):
            os.dup2(fd, number)
        fork_and_end()

    unseen = session.snapshot().losses[Loss.FDS_UNSEEN]
    counted = run(work)
    assert closed(counted, FdType.EVENTFD, Cause.EXIT) == 4
    assert balance(counted) == {}
    assert session.snapshot().losses[Loss.FDS_UNSEEN] == unseen


def test_more_than_all_walks_of_an_event_can_see(session: Session, run: Run) -> None:
    """Further descriptors are reported as lost; a walk in one program sees all."""
    walks = FURTHER_WALKS + 1
    most = FDS_A_CALL * FD_WALK_CALLS * walks + 1000
    may_have(most + 1000)
    sees_all = session.report.layouts == "btf" and bool(loops(session.mode, Btf.read()))
    unseen = session.snapshot().losses[Loss.FDS_UNSEEN]
    counted = run(lambda: many(most))
    assert opened(counted, FdType.EVENTFD, Birth.DUP) == most
    of_exit = closed(counted, FdType.EVENTFD, Cause.EXIT)
    assert of_exit == most if sees_all else most - 2000 < of_exit < most
    assert session.snapshot().losses[Loss.FDS_UNSEEN] == unseen + (not sees_all)
    assert balance(run(lambda: many(10))) == {}
