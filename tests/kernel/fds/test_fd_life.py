# SPDX-License-Identifier: GPL-2.0-only
"""Descriptors opened, duplicated and closed one by one, on the running kernel."""

import ctypes
import fcntl
import mmap
import os
import platform
import signal
import socket
import struct
import threading
from contextlib import suppress

import pytest

from fdscope.probes.schema.taxonomy import Account, Birth, Cause, FdType
from fdscope.probes.selftest.raw_calls import buffer, call
from tests.kernel.conftest import Exactly, Run
from tests.kernel.fds.every_fd_type import signalfd
from tests.kernel.fds.fd_life import LIBC, balance, births, closed, opened


def test_pipes_and_terminals(run: Run) -> None:
    def work() -> None:
        for _ in range(3):
            os.pipe()
        os.openpty()

    counted = run(work)
    assert opened(counted, FdType.FIFO, Birth.PIPE) == 6
    assert opened(counted, FdType.TTY, Birth.OPEN) + opened(counted, FdType.TTY, Birth.IOCTL) == 2
    assert balance(counted) == {}


def test_pairs_of_sockets(run: Run) -> None:
    def work() -> None:
        for _ in range(3):
            for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM):
                end.detach()

    assert opened(run(work), FdType.UNIX_DGRAM, Birth.SOCKET) == 6


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


def test_flags_of_close_range(run: Run) -> None:
    def work() -> None:
        fds = [os.eventfd(0) for _ in range(9)]
        call("close_range", fds[0], fds[2], 2)  # CLOSE_RANGE_UNSHARE: the table is not shared
        with suppress(OSError):  # before Linux 5.11
            call("close_range", fds[3], fds[4], 4)  # CLOSE_RANGE_CLOEXEC: they stay open
        call("close_range", fds[7], 0xFFFFFFFF, 0)

    counted = run(work)
    assert closed(counted, FdType.EVENTFD, Cause.CLOSE) == 5
    assert closed(counted, FdType.EVENTFD, Cause.EXIT) == 4
    assert balance(counted) == {}


def test_duplicates(run: Run) -> None:
    def work() -> None:
        fd = os.eventfd(0)
        os.dup(fd)
        fcntl.fcntl(fd, fcntl.F_DUPFD, 100)
        fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100)
        fcntl.fcntl(fd, fcntl.F_GETFD)
        read_fd, write_fd = os.pipe()
        os.dup2(fd, 900)  # a number that is free
        os.dup2(read_fd, 900)  # one that is not
        os.dup2(fd, fd)  # nothing happens
        call("dup3", fd, write_fd, 0)

    counted = run(work)
    assert opened(counted, FdType.EVENTFD, Birth.DUP) == 5
    assert opened(counted, FdType.FIFO, Birth.DUP) == 1
    assert closed(counted, FdType.EVENTFD, Cause.REPLACED) == 1
    assert closed(counted, FdType.FIFO, Cause.REPLACED) == 1
    assert balance(counted) == {}


def test_calls_that_fail_open_and_close_nothing(run: Run) -> None:
    def work() -> None:
        fd = os.eventfd(0)
        with pytest.raises(FileNotFoundError):
            os.open("/nowhere/to/be/found", os.O_RDONLY)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.dup2(9_999, fd)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.dup2(fd, 1 << 30)  # above the limit
        with pytest.raises(OSError, match="Invalid argument"):
            call("dup3", fd, fd, 0)
        with pytest.raises(OSError, match="Invalid argument"):
            fcntl.fcntl(fd, fcntl.F_DUPFD, 1 << 30)

    counted = run(work)
    assert {key[:3] for key in counted if key[0] is Account.FD_OPENED and key[2] != Birth.FORK} == {
        (Account.FD_OPENED, FdType.EVENTFD, Birth.ANONYMOUS)
    }
    assert closed(counted, FdType.EVENTFD, Cause.EXIT) == 1
    assert balance(counted) == {}


def test_calls_that_answer_with_something_else_than_a_new_descriptor(run: Run) -> None:
    def work() -> None:
        mask = (ctypes.c_ulong * 16)(1 << (signal.SIGUSR1 - 1))
        fd = signalfd()
        assert LIBC.signalfd(fd, mask, 0) == fd  # changes the one that is there
        fcntl.fcntl(fd, fcntl.F_GETFD)
        with suppress(OSError):  # a kernel without Landlock
            call("landlock_create_ruleset", None, 0, 1)  # the version of its interface
            call("landlock_create_ruleset", struct.pack("Q", 1), 8, 0)
            os.eventfd(0)  # tells that there was no error

    counted = run(work)
    assert opened(counted, FdType.SIGNALFD, Birth.ANONYMOUS) == 1
    rulesets = opened(counted, FdType.ANON_OTHER, Birth.ANONYMOUS)
    assert rulesets == opened(counted, FdType.EVENTFD, Birth.ANONYMOUS)
    assert balance(counted) == {}


def test_a_ring_without_a_descriptor(run: Run) -> None:
    """io_uring_setup answers with a number that its process has registered."""

    def work() -> None:
        memory = mmap.mmap(-1, 2 * mmap.PAGESIZE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        params = buffer(120)
        struct.pack_into("<I", params, 8, 1 << 14 | 1 << 15)  # NO_MMAP, REGISTERED_FD_ONLY
        struct.pack_into("<Q", params, 72, start)
        struct.pack_into("<Q", params, 112, start + mmap.PAGESIZE)
        try:
            call("io_uring_setup", 1, params)
        except OSError:
            os.eventfd(0)  # before Linux 6.5
        os._exit(0)  # the kernel still uses the memory

    counted = run(work)
    born = {fd_type: dict(births(counted, fd_type)) for fd_type in FdType}
    made = {fd_type for fd_type, of_type in born.items() if set(of_type) - {Birth.FORK}}
    assert made <= {FdType.EVENTFD}
    assert balance(counted) == {}


def test_threads_that_open_and_close_at_once(run: Run, exactly: Exactly) -> None:
    def churn() -> None:
        for _ in range(50):
            fd = os.eventfd(0)
            copy = os.dup(fd)
            os.close(fd)
            os.close(copy)

    def work() -> None:
        threads = [threading.Thread(target=churn) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    counted = run(work)
    born = births(counted, FdType.EVENTFD)
    assert born.keys() == {Birth.ANONYMOUS, Birth.DUP}
    assert {key[2] for key in counted if key[:2] == (Account.FD_CLOSED, FdType.EVENTFD)} == {
        Cause.CLOSE
    }
    for number in born.values():
        exactly(number, 200)
    exactly(closed(counted, FdType.EVENTFD, Cause.CLOSE), 400)
    assert balance(counted) == {}


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

    if platform.machine() != "x86_64":
        pytest.skip("the order of clone's arguments is that of x86-64 here")
    counted = run(work)
    assert opened(counted, FdType.PIDFD, Birth.ANONYMOUS) == 1
