# SPDX-License-Identifier: GPL-2.0-only
"""Every fd type, and how to open one."""

import ctypes
import errno
import os
import resource
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from fdscope.probes.schema.taxonomy import Birth, FdType
from fdscope.probes.selftest.raw_calls import buffer, call

LIBC = ctypes.CDLL(None, use_errno=True)
AF_XDP = 44

UNSUPPORTED = {
    errno.ENOSYS,
    errno.EPROTONOSUPPORT,
    errno.EAFNOSUPPORT,
    errno.ESOCKTNOSUPPORT,
    errno.ENOENT,
    errno.ENXIO,
    errno.EOPNOTSUPP,
}
"""Errnos of a kernel without the fd type."""


class Kind(NamedTuple):
    """One fd type."""

    fd_type: FdType
    birth: Birth
    make: Callable[[], int]
    """Opens one descriptor, and leaves no other one open; OSError as in UNSUPPORTED."""


def named_pipe() -> int:
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/pipe"
        os.mkfifo(path)
        return os.open(path, os.O_RDWR)


def message_queue() -> int:
    name = f"fdscope-{os.getpid()}".encode()
    fd = call("mq_open", name, os.O_RDWR | os.O_CREAT, 0o600, None)
    call("mq_unlink", name)
    return fd


def icmp() -> int:
    Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 0")
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP).detach()


def signalfd() -> int:
    mask = (ctypes.c_ulong * 16)(1 << (signal.SIGUSR1 - 1))
    return int(LIBC.signalfd(-1, mask, 0))


def fanotify() -> int:
    return call("fanotify_init", 0, os.O_RDONLY)


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


def _open(path: str, flags: int = os.O_RDONLY) -> Callable[[], int]:
    return lambda: os.open(path, flags)


def _socket(family: int, kind: int, protocol: int = 0) -> Callable[[], int]:
    return lambda: socket.socket(family, kind, protocol).detach()


STREAM, DGRAM, RAW = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW

KINDS = (
    # Nothing is FdType.OTHER: a symbolic link, of no kind known, can only be opened with O_PATH.
    Kind(FdType.PATH, Birth.OPEN, _open("/proc/self/exe", os.O_PATH | os.O_NOFOLLOW)),
    Kind(FdType.NAMESPACE, Birth.OPEN, _open("/proc/self/ns/mnt")),
    Kind(FdType.REGULAR, Birth.OPEN, _open("/proc/self/stat")),
    Kind(FdType.DIRECTORY, Birth.OPEN, _open("/")),
    Kind(FdType.BLOCK, Birth.OPEN, _open("/dev/loop0")),
    Kind(FdType.CHARACTER, Birth.OPEN, _open("/dev/zero")),
    Kind(FdType.TTY, Birth.OPEN, _open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY)),
    Kind(FdType.FIFO, Birth.OPEN, named_pipe),
    Kind(FdType.TCP, Birth.SOCKET, _socket(socket.AF_INET, STREAM)),
    Kind(FdType.UDP, Birth.SOCKET, _socket(socket.AF_INET6, DGRAM)),
    Kind(FdType.UNIX_STREAM, Birth.SOCKET, _socket(socket.AF_UNIX, STREAM)),
    Kind(FdType.UNIX_DGRAM, Birth.SOCKET, _socket(socket.AF_UNIX, DGRAM)),
    Kind(FdType.UNIX_SEQPACKET, Birth.SOCKET, _socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)),
    Kind(FdType.NETLINK, Birth.SOCKET, _socket(socket.AF_NETLINK, RAW)),
    Kind(FdType.PACKET, Birth.SOCKET, _socket(socket.AF_PACKET, RAW)),
    Kind(FdType.RAW, Birth.SOCKET, _socket(socket.AF_INET, RAW, 253)),
    Kind(FdType.ICMP, Birth.SOCKET, icmp),
    Kind(FdType.SCTP, Birth.SOCKET, _socket(socket.AF_INET, STREAM, 132)),
    Kind(FdType.VSOCK, Birth.SOCKET, _socket(socket.AF_VSOCK, STREAM)),
    Kind(FdType.SOCKET_OTHER, Birth.SOCKET, _socket(AF_XDP, RAW)),
    Kind(FdType.EVENTFD, Birth.ANONYMOUS, lambda: os.eventfd(0)),
    Kind(FdType.EVENTPOLL, Birth.ANONYMOUS, lambda: call("epoll_create1", 0)),
    Kind(
        FdType.TIMERFD, Birth.ANONYMOUS, lambda: int(LIBC.timerfd_create(time.CLOCK_MONOTONIC, 0))
    ),
    Kind(FdType.SIGNALFD, Birth.ANONYMOUS, signalfd),
    Kind(FdType.INOTIFY, Birth.ANONYMOUS, lambda: int(LIBC.inotify_init())),
    Kind(FdType.FANOTIFY, Birth.ANONYMOUS, fanotify),
    Kind(FdType.IO_URING, Birth.ANONYMOUS, lambda: call("io_uring_setup", 1, buffer(120))),
    Kind(FdType.PIDFD, Birth.ANONYMOUS, lambda: os.pidfd_open(os.getpid())),
    Kind(FdType.MEMFD, Birth.ANONYMOUS, lambda: os.memfd_create("life")),
    Kind(FdType.BPF, Birth.ANONYMOUS, bpf_map),
    Kind(FdType.PERF_EVENT, Birth.ANONYMOUS, perf_event),
    Kind(FdType.USERFAULTFD, Birth.ANONYMOUS, lambda: call("userfaultfd", 0)),
    Kind(FdType.ANON_OTHER, Birth.OPEN, lambda: call("fsopen", b"tmpfs", 0)),
    Kind(FdType.MQUEUE, Birth.OPEN, message_queue),
)


def load_modules() -> None:
    """Loads the modules of fd types that few kernels have built in."""
    for module in ("loop", "sctp", "vsock"):
        with suppress(FileNotFoundError):
            subprocess.run(["modprobe", "-q", module], check=False)


def missing(kind: Kind) -> str | None:
    """Why this kernel cannot open one; None if it can."""
    try:
        os.close(kind.make())
    except OSError as error:
        if error.errno in UNSUPPORTED:
            return f"this kernel makes no {kind.fd_type.label}: {error}"
        raise
    return None
