# SPDX-License-Identifier: GPL-2.0-only
"""An event of the journal as the kernel side tells it: plain values, text still raw bytes."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from fdscope.probes.schema.taxonomy import Birth, DebugMethod, EventKind, FdType, Scope


@dataclass(frozen=True, slots=True)
class EventProcess:
    """A process at the time of the event."""

    tgid: int
    start: int
    """Nanoseconds after the boot of the host."""
    uid: int
    cgroup_id: int
    comm: bytes


@dataclass(frozen=True, slots=True)
class EventSocket:
    """The addresses of a socket of the Internet; the port is 0 where there is none."""

    local: IPv4Address | IPv6Address
    local_port: int
    remote: IPv4Address | IPv6Address
    remote_port: int
    state: int
    """TCP_* of include/net/tcp_states.h."""


@dataclass(frozen=True, slots=True)
class EventFile:
    """What a descriptor refers to."""

    fd: int | None
    """The number; None for the program of a process."""
    fd_type: FdType
    birth: Birth
    inode: int
    device: int
    """Number of the filesystem's device, major << 20 | minor."""
    rdev: int
    """Number of the device that the file stands for, likewise; 0 for none."""
    writable: bool
    name: bytes
    """The last part of its path; of memfds and anonymous files the name that they were given."""
    family: int
    """AF_*; 0 if it is no socket."""
    protocol: int
    scope: Scope
    socket: EventSocket | None


@dataclass(frozen=True, slots=True)
class KernelEvent:
    """One event."""

    time: int
    """Nanoseconds of the monotonic clock."""
    kind: EventKind
    process: EventProcess
    tid: int
    parents: tuple[tuple[int, bytes], ...]
    """Tgid and name of the processes that started it, nearest first."""
    program: bytes
    """Path of the executable file, each name of it cut after 31 bytes; its end if it is long."""
    command: bytes
    """The beginning of the command line; each argument ends with NUL."""
    command_bytes: int
    """Length of the whole command line."""
    terminal: bytes
    other: EventProcess | None
    """The process that was accessed, or that passed the file on."""
    file: EventFile | None
    birth: Birth
    method: DebugMethod
    errno: int
    """0 for none."""
