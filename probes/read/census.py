# SPDX-License-Identifier: GPL-2.0-only
"""The census: counts the open descriptors of one process by a BPF program that is run on demand.

It finds fd types as the probes do, in every attach mode and network namespace, and takes some
microseconds a process. The program gets a descriptor of /proc/PID, so a process that hidepid=
hides is not readable.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fdscope.probes.kernel import libbpf
from fdscope.probes.read.fd_tables import FdTables, Missing, owner_of
from fdscope.probes.read.maps import read_value
from fdscope.probes.schema.records import TCP_STATES, dtype
from fdscope.probes.schema.snapshot import Process, ProcessKey
from fdscope.probes.schema.taxonomy import FdType, Stdio, TcpState

PROGRAM = "on_census"
_NO_FD_TYPE = 0xFF
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
        tcp = _Tcp()
        position = permission_groups = 0
        while True:
            if libbpf.run(self._program, (directory, position)) != _FOUND:
                return Missing.GONE
            found = read_value(self._results, _DTYPE)
            counts += found["count"]
            permission_groups += int(found["permission_groups"])
            if found["count"][FdType.TCP]:
                tcp.add(found)
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
        )


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
