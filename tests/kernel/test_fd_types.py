# SPDX-License-Identifier: GPL-2.0-only
"""Every kind of fd that one can read or write is told by its word."""

import contextlib
import ctypes
import errno
import os
import resource
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from probes.selftest.calls import buffer, call
from probes.session import Session
from probes.snapshot import Amount
from probes.taxonomy import Account, Door, FdType
from tests.kernel.conftest import Run, of_tgid

LIBC = ctypes.CDLL(None, use_errno=True)


def eventfd() -> None:
    fd = os.eventfd(0)
    os.eventfd_write(fd, 3)
    assert os.eventfd_read(fd) == 3


def timerfd() -> None:
    fd = LIBC.timerfd_create(time.CLOCK_MONOTONIC, 0)
    LIBC.timerfd_settime(fd, 0, (ctypes.c_long * 4)(0, 0, 0, 1), None)
    assert len(os.read(fd, 8)) == 8


def inotify() -> None:
    fd = LIBC.inotify_init()
    directory = f"/tmp/fdscope-inotify-{os.getpid()}"  # noqa: S108
    os.mkdir(directory)  # noqa: PTH102
    LIBC.inotify_add_watch(fd, directory.encode(), 0x40000200)  # IN_DELETE | IN_ISDIR
    os.mkdir(f"{directory}/a")  # noqa: PTH102
    os.rmdir(f"{directory}/a")  # noqa: PTH106
    assert len(os.read(fd, 4096)) == 32
    os.rmdir(directory)  # noqa: PTH106


def signalfd() -> None:
    import signal

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    mask = (ctypes.c_ulong * 16)(1 << (signal.SIGUSR1 - 1))
    fd = LIBC.signalfd(-1, mask, 0)
    os.kill(os.getpid(), signal.SIGUSR1)
    assert len(os.read(fd, 128)) == 128


def tty() -> None:
    main, other = os.openpty()
    os.write(other, b"seven77")
    assert len(os.read(main, 100)) == 7


def character() -> None:
    assert len(os.read(os.open("/dev/zero", os.O_RDONLY), 41)) == 41


def netlink() -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as sock:
        request = bytes.fromhex("14000000 1200 0103 00000000 00000000 00000000".replace(" ", ""))
        sock.send(request)
        assert sock.recv(1 << 20)


def raw() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, 253) as sock:
        sock.connect(("127.0.0.1", 0))
        sock.send(bytes(61))
        assert len(sock.recv(1000)) == 81


def packet() -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind(("lo", 0))
        assert os.write(sock.fileno(), bytes(12) + b"\x88\xb5" + bytes(63)) == 77


def proc_file() -> None:
    assert os.read(os.open("/proc/self/stat", os.O_RDONLY), 4096)


UNSUPPORTED = {
    errno.ENOSYS,
    errno.EPROTONOSUPPORT,
    errno.EAFNOSUPPORT,
    errno.ESOCKTNOSUPPORT,
    errno.ENOENT,
    errno.EOPNOTSUPP,
}

READS = Account.FILE_READ
WRITES = Account.FILE_WRITE
RW = Door.READ_WRITE
CALL = Door.SOCKET_CALL


@pytest.mark.parametrize(
    ("work", "account", "fd_type", "door", "byte_count"),
    [
        (eventfd, READS, FdType.EVENTFD, RW, 8),
        (eventfd, WRITES, FdType.EVENTFD, RW, 8),
        (timerfd, READS, FdType.TIMERFD, RW, 8),
        (inotify, READS, FdType.INOTIFY, RW, 32),
        (signalfd, READS, FdType.SIGNALFD, RW, 128),
        (tty, READS, FdType.TTY, RW, 7),
        (tty, WRITES, FdType.TTY, RW, 7),
        (character, READS, FdType.CHARACTER, RW, 41),
        (netlink, WRITES, FdType.NETLINK, CALL, 20),
        (raw, WRITES, FdType.RAW, CALL, 61),
        (raw, READS, FdType.RAW, CALL, 81),
        (packet, WRITES, FdType.PACKET, RW, 77),
    ],
)
def test_fd_type(
    work: Callable[[], None],
    account: Account,
    fd_type: FdType,
    door: Door,
    byte_count: int,
    run: Run,
) -> None:
    assert run(work)[account, fd_type, door, 0] == Amount(1, byte_count)


def test_proc_is_a_regular_file(run: Run) -> None:
    assert run(proc_file)[READS, FdType.REGULAR, RW, 0].operations == 1


def bpf_map() -> int:
    """A map of one element: bpf(BPF_MAP_CREATE, ...) of an array."""
    # Before Linux 5.11 maps count as locked memory, with those that are just being freed.
    with suppress(ValueError):  # this root may not raise it: later kernels do not need it
        resource.setrlimit(
            resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )
    attributes = struct.pack("<5I", 2, 4, 4, 1, 0).ljust(120, b"\0")
    return call("bpf", 0, ctypes.create_string_buffer(attributes, 120), 120)


def perf_event() -> int:
    """A software clock of this process."""
    attributes = struct.pack("<IIQ", 1, 112, 0).ljust(112, b"\0")
    return call("perf_event_open", ctypes.create_string_buffer(attributes, 112), 0, -1, -1, 0)


def icmp() -> int:
    Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 0")
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP).detach()


def sctp() -> int:
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132).detach()


def vsock() -> int:
    return socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).detach()


def fanotify() -> int:
    return call("fanotify_init", 0, os.O_RDONLY)


@pytest.mark.parametrize(
    ("make", "fd_type"),
    [
        (lambda: os.open("/", os.O_RDONLY), FdType.DIRECTORY),
        (lambda: call("epoll_create1", 0), FdType.EVENTPOLL),
        (lambda: os.pidfd_open(os.getpid()), FdType.PIDFD),
        (lambda: call("io_uring_setup", 1, buffer(120)), FdType.IO_URING),
        (lambda: call("userfaultfd", 0), FdType.USERFAULTFD),
        (bpf_map, FdType.BPF),
        (perf_event, FdType.PERF_EVENT),
        (fanotify, FdType.FANOTIFY),
        (icmp, FdType.ICMP),
        (sctp, FdType.SCTP),
        (vsock, FdType.VSOCK),
    ],
    ids=lambda value: value.label if isinstance(value, FdType) else "",
)
def test_fd_type_of_what_cannot_be_read(
    make: Callable[[], int], fd_type: FdType, session: Session
) -> None:
    """A read that the file refuses (or that finds nothing) is counted with its fd type."""

    def work() -> None:
        try:
            fd = make()
        except OSError as error:
            os._exit(77 if error.errno in UNSUPPORTED else 1)
        os.set_blocking(fd, False)
        with contextlib.suppress(OSError):
            os.read(fd, 8)

    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status == 77:
        pytest.skip(f"this kernel has no {fd_type.label}")
    assert status == 0
    counted = of_tgid(session.snapshot(), pid)
    assert (READS, fd_type) in {key[:2] for key in counted}
