# SPDX-License-Identifier: GPL-2.0-only
"""Reads the events of the journal from the kernel's ring buffer."""

from ipaddress import IPv4Address, IPv6Address
from typing import Any

import numpy as np

from fdscope.probes.kernel.libbpf import RingBuffer
from fdscope.probes.read.maps import HashMap, PerCpuArray
from fdscope.probes.schema.event import EventFile, EventProcess, EventSocket, KernelEvent
from fdscope.probes.schema.records import PATH_NAME_BYTES, PATH_NAMES, dtype
from fdscope.probes.schema.taxonomy import (
    Birth,
    DebugMethod,
    EventCount,
    EventKind,
    FdType,
    Scope,
)

_MOST = 256
"""Events a call of ``take()``."""
_DTYPE = dtype("event")
_NO_FD = 0xFFFFFFFF
_NO_FD_TYPE = 0xFF
_AF_INET, _AF_INET6 = 2, 10
_FMODE_WRITE = 2


def _process(record: Any) -> EventProcess:
    cgroup_id, start, tgid, uid, comm = record.item()
    return EventProcess(tgid, start, uid, cgroup_id, _text(comm))


def _text(raw: bytes) -> bytes:
    return raw.partition(b"\0")[0]


def _path(record: Any) -> bytes:
    """The path of the program, or its end; the name alone of a file that is in no directory."""
    raw = bytes(record["program"]).ljust(PATH_NAMES * PATH_NAME_BYTES, b"\0")
    count = int(record["program_names"])
    names = [_text(raw[at * PATH_NAME_BYTES : (at + 1) * PATH_NAME_BYTES]) for at in range(count)]
    if not names or names[0].startswith(b"memfd:"):
        return b"".join(names[:1])
    start = b".../" if record["program_is_cut"] else b"/"
    return start + b"/".join(name for name in reversed(names) if name != b"/")


def _address(raw: bytes, family: int) -> IPv4Address | IPv6Address:
    return IPv4Address(raw[:4]) if family == _AF_INET else IPv6Address(raw)


def _socket(record: Any, family: int) -> EventSocket | None:
    if family not in (_AF_INET, _AF_INET6):
        return None
    return EventSocket(
        _address(record["local"].tobytes(), family),
        int(record["local_port"]),
        _address(record["remote"].tobytes(), family),
        int(record["remote_port"]),
        int(record["state"]),
    )


def _file(record: Any) -> EventFile | None:
    fd, fd_type, family = int(record["fd"]), int(record["fd_type"]), int(record["family"])
    if fd_type == _NO_FD_TYPE:
        return None
    return EventFile(
        None if fd == _NO_FD else fd,
        FdType(fd_type),
        Birth(int(record["birth"])),
        int(record["inode"]),
        int(record["device"]),
        int(record["rdev"]),
        bool(int(record["file_mode"]) & _FMODE_WRITE),
        _text(bytes(record["name"])),
        family,
        int(record["protocol"]),
        Scope(int(record["scope"])) if family else Scope.UNKNOWN,
        _socket(record, family),
    )


def decoded(raw: bytes) -> KernelEvent:
    """The event in a record of the ring buffer; ValueError for what no program of ours writes."""
    record = np.frombuffer(raw, _DTYPE, 1)[0]
    other = _process(record["other"])
    return KernelEvent(
        int(record["time"]),
        EventKind(int(record["kind"])),
        _process(record["process"]),
        int(record["tid"]),
        tuple((tgid, _text(comm)) for tgid, comm in record["parents"].tolist() if tgid),
        _path(record),
        bytes(record["command"]),
        int(record["command_bytes"]),
        _text(bytes(record["terminal"])),
        other if other.tgid else None,
        _file(record),
        Birth(int(record["birth"])),
        DebugMethod(int(record["method"])),
        int(record["error"]),
    )


class Events:
    """The events since the programs were attached.

    ``take()`` and ``left_out()`` are for one thread, ``counts()`` for any.
    """

    def __init__(self, ring_fd: int, counts: PerCpuArray, limits: HashMap) -> None:
        """OSError if the ring buffer cannot be mapped."""
        self._ring = RingBuffer(ring_fd)
        self._counts = counts
        self._limits = limits
        self._told: dict[tuple[int, int, int], int] = {}

    @property
    def descriptor(self) -> int:
        """Readable while there are events."""
        return self._ring.descriptor

    def take(self) -> list[KernelEvent]:
        """The next events, some hundred at most."""
        return [decoded(raw) for raw in self._ring.take(_MOST)]

    def counts(self) -> dict[EventCount, int]:
        """Events since the start: all of them, and those that did not reach the ring buffer."""
        return dict(zip(EventCount, self._counts.read().sum(1).tolist(), strict=True))

    def left_out(self) -> list[tuple[int, int, EventKind, int]]:
        """Events above the kernel's limits since the last call: (cgroup id, tgid, kind, number).

        The tgid is 0 where the limit was that of the cgroup. The table is bounded: ``counts()`` is
        exact, these lines need not be.
        """
        keys, values = self._limits.read()
        totals = {
            key: left_out
            for key, (left_out, _, _) in zip(keys.tolist(), values[:, 0].tolist(), strict=True)
            if left_out
        }
        found = []
        for key, total in totals.items():
            before = self._told.get(key, 0)
            more = total - before if total >= before else total
            if more:
                cgroup_id, tgid, kind = key
                found.append((cgroup_id, tgid, EventKind(kind), more))
        self._told = totals
        return found

    def close(self) -> None:
        """Give the memory of the ring buffer back."""
        self._ring.close()
