# SPDX-License-Identifier: GPL-2.0-only
"""Files that processes hold, one by one, as plain values; no I/O."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from fdscope.probes.schema.snapshot import Amount, Process, ProcessKey
from fdscope.probes.schema.taxonomy import Account, Birth, Cause, Door, FdType


class FileKey(NamedTuple):
    """A file as long as a process holds it: the kernel uses the address again for others."""

    file: int
    """Address of the struct file; 0 for operations on descriptors that were closed meanwhile."""
    born: int
    """When it was first seen, in nanoseconds of the monotonic clock."""
    owner: ProcessKey


class Operation(NamedTuple):
    """What is counted for a file."""

    account: Account
    door: Door
    errno: int
    """0 for success."""


@dataclass(frozen=True, slots=True)
class Done:
    """What was done to a file in one way."""

    amount: Amount
    nanoseconds: int
    """Time spent in the calls, waiting included; 0 where it is not measured."""


@dataclass(frozen=True, slots=True)
class Ends:
    """The two ends of a socket, as far as they are known."""

    family: int
    protocol: int
    state: int
    """Of TCP and others that use its states: include/net/tcp_states.h."""
    local: bytes = b""
    """The address as the kernel has it: 4 or 16 bytes, or the name of a unix socket."""
    remote: bytes = b""
    local_port: int = 0
    remote_port: int = 0
    interface: int = 0
    """Index of the interface that it is bound to; 0 for any."""
    peer: int = 0
    """Inode number of the unix socket at the other end."""


@dataclass(frozen=True, slots=True)
class Name:
    """The path of a file in its mount namespace; components, outermost first."""

    components: tuple[bytes, ...]
    is_whole: bool
    """False if outer components were not read."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file is."""

    inode: int
    device: int
    """Number of the filesystem's device; 0 if it was not read."""
    device_number: int
    """Of a device file."""
    filesystem: bytes
    """Its type; empty if it was not read."""


@dataclass(frozen=True, slots=True)
class WatchedFile:
    """A file of a watched process, since it is watched or since it was opened."""

    key: FileKey
    fd_type: FdType
    place: Place
    flags: int
    """O_* flags when it was opened; 0 if that was not seen."""
    fd: int | None
    """The first descriptor; None if its opening was not seen."""
    birth: Birth | None
    """None if its opening was not seen: it was open before, or inherited."""
    opens: int
    """Descriptors opened, as far as seen."""
    closes: int
    closed_at: int
    """When a descriptor was last closed; 0 for never."""
    cause: Cause
    """Why."""
    last_used: int
    position: int
    """When a descriptor was last closed."""
    ends: Ends | None
    name: Name | None


@dataclass(frozen=True, slots=True)
class WatchedProcess:
    """A watched process. Times are nanoseconds of the monotonic clock, 0 for not yet."""

    key: ProcessKey
    parent: ProcessKey | None
    """None if it was not forked while watched."""
    name: bytes
    born: int
    """When it was first watched."""
    execed: int
    ended: int
    lost: Amount
    """What had no room under its files."""
    leases: int
    """Bits of those that watch it."""
    without_origin: int = 0
    """Opened descriptors that have no room among the origins."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One reading of the spotlight's maps."""

    processes: Mapping[ProcessKey, WatchedProcess]
    files: Mapping[FileKey, WatchedFile]
    done: Mapping[FileKey, Mapping[Operation, Done]]
    """What was done to each file, also to those that were retired."""
    room: Mapping[str, tuple[int, int]]
    """Map to entries in use and capacity."""


@dataclass(frozen=True, slots=True)
class OpenFd:
    """An open descriptor and what it refers to."""

    fd: int
    file: int
    """Address of the struct file: descriptors that share it have the same."""
    fd_type: FdType
    place: Place
    flags: int
    position: int
    is_deleted: bool
    """The name under which it was opened is gone."""
    receive_queue: int | None
    """Bytes that wait; None where that is not known."""
    send_queue: int | None
    ends: Ends | None


@dataclass(frozen=True, slots=True)
class OpenFds:
    """The descriptors of one process."""

    key: ProcessKey
    process: Process
    fds: tuple[OpenFd, ...]


class Depth(Enum):
    """Whether the depth of a stack is part of what tells it from others."""

    TELLS = "tells"
    """There are few stacks in memory, and frame pointers may be missing."""
    IS_RANDOM = "is random"
    """As with goroutines, which have a stack each."""


class OriginKey(NamedTuple):
    """What openings of one origin have in common."""

    stack_pointer: int
    """Of the thread; 0 where the frames tell stacks apart."""
    place: int
    """A hash over the frames of Python; 0 for none."""
    stack: int
    """Number of the stack by frame pointers."""
    fd_type: FdType
    birth: Birth


class Registers(NamedTuple):
    """Of a thread in user mode."""

    instruction: int
    stack_pointer: int
    frame: int
    """The frame pointer, if the program uses it as one."""
    link: int
    """Of arm64: where the innermost function returns to."""
    saved: tuple[int, ...]
    """Of x86: rbx and r12 to r15."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Openings of descriptors by one call stack."""

    opened: int
    """How many."""
    frames: tuple[int, ...]
    """Addresses by frame pointers, innermost first; empty if the kernel could not keep them."""
    registers: Registers
    """When it was first seen."""
    sample: bytes
    """The top of the stack then; empty if it was not read."""
    python: tuple[tuple[int, int], ...] = ()
    """Frames of Python, innermost first: addresses of a code object and of an instruction."""


@dataclass(frozen=True, slots=True)
class Python:
    """An interpreter of Python in a process, and where its structs have their fields."""

    threads: int
    """Address of the pointer to its first thread."""
    namespace_device: int
    namespace_inode: int
    """Of the pid namespace in which threads have the numbers that the interpreter knows."""
    next: int
    number: int
    frame: int
    inner: int | None
    """In what the thread points at; None if it points at the frame itself."""
    previous: int
    code: int
    instruction: int


class Opened(NamedTuple):
    """A descriptor as it was last opened: it may be closed."""

    file: int
    """Address of its struct file."""
    at: int
    """Nanoseconds of the monotonic clock."""
    origin: OriginKey


@dataclass(frozen=True, slots=True)
class Origins:
    """Where a process has opened its descriptors since it is watched."""

    origins: Mapping[OriginKey, Origin]
    opened: Mapping[int, Opened]
    """By number of the descriptor."""


INTERNET_FAMILIES = (socket.AF_INET, socket.AF_INET6)
