# SPDX-License-Identifier: GPL-2.0-only
"""The census: counts the open descriptors of one process by a BPF program that is run on demand.

It finds fd types as the probes do, in every attach mode and network namespace, and takes some
microseconds a process. The program gets a descriptor of /proc/PID, so a process that hidepid=
hides is not readable.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fdscope.probes.kernel import libbpf
from fdscope.probes.read.fd_tables import FdTables, Missing, owner_of
from fdscope.probes.read.maps import read_value
from fdscope.probes.schema.records import TCP_STATES, dtype
from fdscope.probes.schema.snapshot import Process, ProcessKey
from fdscope.probes.schema.taxonomy import FdType, Stdio, TcpState

PROGRAM = "on_census"
_NO_FD_TYPE = 0xFF
_BLOCK_BYTES = 512
"""The unit of i_blocks."""
_FOUND = 1
_DTYPE = dtype("census")


@dataclass(frozen=True, slots=True)
class Listening:
    """What waits at the listening TCP sockets of a process."""

    waiting: int
    """Connections that wait for accept()."""
    fullest: float
    """The same, divided by the backlog, of the socket with the fullest queue."""
    drops: int
    """Connections and handshakes that these sockets have dropped."""


class Queue(NamedTuple):
    """What waits in the descriptors of one type, in bytes."""

    unread: int
    """For this process to read."""
    unsent: int
    """That this process has written, and that is still on this side."""
    most_unread: int
    """Of the fullest descriptor."""
    most_unsent: int

    def plus(self, other: "Queue") -> "Queue":
        """Of both."""
        return Queue(
            self.unread + other.unread,
            self.unsent + other.unsent,
            max(self.most_unread, other.most_unread),
            max(self.most_unsent, other.most_unsent),
        )


class Deleted(NamedTuple):
    """Open files of one filesystem that have no name any more."""

    files: int
    """Descriptors."""
    bytes: int
    """Of their blocks; a file counts once for each descriptor."""

    def plus(self, other: "Deleted") -> "Deleted":
        """Both."""
        return Deleted(self.files + other.files, self.bytes + other.bytes)


EMPTY, NONE_DELETED = Queue(0, 0, 0, 0), Deleted(0, 0)


@dataclass(frozen=True, slots=True)
class ProcessFds:
    """The table of descriptors of one process."""

    key: ProcessKey
    process: Process
    counts: Mapping[FdType, int]
    """Open descriptors by fd type, where there are any."""
    limit: int
    """Soft limit (RLIMIT_NOFILE)."""
    stdio: Mapping[Stdio, FdType]
    """The standard fds that are open."""
    permission_groups: int
    """Descriptors of fanotify groups that permit or deny accesses."""
    tcp: Mapping[TcpState, int] = field(default_factory=dict)
    """Descriptors of TCP sockets by state; handshakes of the listening ones as SYN_RECV."""
    listening: Listening | None = None
    """None if no TCP socket listens."""
    queues: Mapping[FdType, Queue] = field(default_factory=dict)
    """Where something waits. TCP: bytes; other sockets: memory of the messages; pipes: pages."""
    deleted: Mapping[int, Deleted] = field(default_factory=dict)
    """By the number of the filesystem's device; 0 for all beyond the first three."""
    memfd_bytes: int = 0
    """Memory of the memfds; one that has a descriptor more counts once more."""

    @property
    def total(self) -> int:
        """Open descriptors of every type."""
        return sum(self.counts.values())


class Census(FdTables[ProcessFds]):
    """Counts one process at a time; calls may come from any thread."""

    def __init__(self, program: int, results: int, proc: Path = Path("/proc")) -> None:
        """``program`` and ``results``: descriptors of the program and of its map."""
        super().__init__(proc)
        self._program = program
        self._results = results

    def _walk(self, directory: int) -> ProcessFds | Missing:
        counts = np.zeros(len(FdType), "<u8")
        tcp, held = _Tcp(), _Held()
        position = permission_groups = 0
        while True:
            if libbpf.run(self._program, (directory, position)) != _FOUND:
                return Missing.GONE
            found = read_value(self._results, _DTYPE)
            counts += found["count"]
            permission_groups += int(found["permission_groups"])
            if found["count"][FdType.TCP]:
                tcp.add(found)
            if found["holds"]:
                held.add(found)
            position = int(found["position"])
            if position >= found["end"]:
                break
        return ProcessFds(
            *owner_of(found),
            {fd_type: int(n) for fd_type, n in zip(FdType, counts, strict=True) if n},
            int(found["limit"]),
            {
                fd: FdType(fd_type)
                for fd, fd_type in zip(Stdio, found["stdio"].tolist(), strict=True)
                if fd_type != _NO_FD_TYPE
            },
            permission_groups,
            tcp.states(),
            tcp.listening(),
            held.queues,
            held.deleted,
            held.memfd_bytes,
        )


class _Held:
    """Sums what several runs found in queues and in files without a name."""

    def __init__(self) -> None:
        self.queues: dict[FdType, Queue] = {}
        self.deleted: dict[int, Deleted] = {}
        self.memfd_bytes = 0

    def add(self, found: Any) -> None:
        """Add a record of the census."""
        for number, row in enumerate(found["queue"].tolist()):
            if row[0] or row[1]:
                fd_type = FdType(FdType.FIFO + number)
                self.queues[fd_type] = self.queues.get(fd_type, EMPTY).plus(Queue(*row))
        for device, files, blocks in found["unnamed"].tolist():
            if files:
                known = self.deleted.get(device, NONE_DELETED)
                self.deleted[device] = known.plus(Deleted(files, blocks * _BLOCK_BYTES))
        self.memfd_bytes += int(found["memfd_blocks"]) * _BLOCK_BYTES


class _Tcp:
    """Sums what several runs found of the TCP sockets of a process."""

    def __init__(self) -> None:
        self._states = np.zeros(TCP_STATES, "<u8")
        self._handshakes = self._waiting = self._drops = 0
        self._fullest = 0.0

    def add(self, found: Any) -> None:
        """Add a record of the census."""
        self._states += found["tcp"]
        if not found["tcp"][TcpState.LISTEN]:
            return
        self._handshakes += int(found["handshakes"])
        self._waiting += int(found["waiting"])
        self._drops += int(found["drops"])
        # A backlog of 0 has room for one connection.
        most = max(int(found["fullest_most"]), 1)
        self._fullest = max(self._fullest, int(found["fullest_waiting"]) / most)

    def states(self) -> dict[TcpState, int]:
        """By state, where there are any."""
        counts = {state: int(self._states[state]) for state in TcpState}
        # The kernel keeps handshakes apart, without a socket of their own (TCP_NEW_SYN_RECV).
        counts[TcpState.SYN_RECV] += self._handshakes
        return {state: count for state, count in counts.items() if count}

    def listening(self) -> Listening | None:
        """What waits at listening sockets; None if there are none."""
        if not self._states[TcpState.LISTEN]:
            return None
        return Listening(self._waiting, self._fullest, self._drops)
