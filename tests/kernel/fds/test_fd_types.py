# SPDX-License-Identifier: GPL-2.0-only
"""Every readable or writable kind of fd is counted under its fd type."""

import contextlib
import ctypes
import os
import socket
import time
from collections.abc import Callable

import pytest

from fdscope.probes.schema.snapshot import Amount
from fdscope.probes.schema.taxonomy import Account, Door, FdType
from tests.kernel.conftest import Run
from tests.kernel.fds.every_fd_type import KINDS, Kind, missing

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


# Those that one reads as such above are not among them.
UNREADABLE = (
    FdType.DIRECTORY,
    FdType.EVENTPOLL,
    FdType.PIDFD,
    FdType.IO_URING,
    FdType.USERFAULTFD,
    FdType.BPF,
    FdType.PERF_EVENT,
    FdType.FANOTIFY,
    FdType.ICMP,
    FdType.SCTP,
    FdType.VSOCK,
)


@pytest.mark.parametrize(
    "kind",
    [kind for kind in KINDS if kind.fd_type in UNREADABLE],
    ids=lambda kind: kind.fd_type.label,
)
def test_fd_type_of_what_cannot_be_read(kind: Kind, run: Run) -> None:
    """A read that the file refuses (or that finds nothing) is counted with its fd type."""
    why = missing(kind)
    if why:
        pytest.skip(why)

    def work() -> None:
        fd = kind.make()
        os.set_blocking(fd, False)
        with contextlib.suppress(OSError):
            os.read(fd, 8)

    assert (READS, kind.fd_type) in {key[:2] for key in run(work)}
