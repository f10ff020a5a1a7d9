# SPDX-License-Identifier: GPL-2.0-only
"""What the maps held at one moment, as plain values; no I/O."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from fdscope.probes.schema.taxonomy import Account, FdType, Loss

LATENCY_STRIDE = 64
"""Slots of the ``latency`` map for one fd type and direction; the last holds the sum."""
LATENCY_LAST_BUCKET = 40
LATENCY_SLOTS = 2 * len(FdType) * LATENCY_STRIDE
"""Slots of the whole ``latency`` map: reads by fd type, then writes."""


class ProcessKey(NamedTuple):
    """A process: tgid and start time, so that a reused pid is another process."""

    tgid: int
    start: int
    """Low 32 bits of the start time since boot in units of 2^20 ns."""


class Amount(NamedTuple):
    """Operations and bytes."""

    operations: int
    bytes: int

    def plus(self, other: "Amount") -> "Amount":
        """The sum of both."""
        return Amount(self.operations + other.operations, self.bytes + other.bytes)

    def minus(self, other: "Amount") -> "Amount":
        """The difference to ``other``."""
        return Amount(self.operations - other.operations, self.bytes - other.bytes)


amount: "Callable[[Iterable[int]], Amount]" = partial(tuple.__new__, Amount)
"""``Amount(*numbers)``, in a third of the time: there are tens of thousands in a scrape."""

NOTHING = Amount(0, 0)


@dataclass(frozen=True, slots=True)
class Process:
    """What the kernel side knows of a process."""

    name: bytes
    """``comm`` of the thread-group leader: up to 15 bytes of anything."""
    cgroup_id: int
    """Inode number of its cgroup in the version 2 hierarchy."""
    exited: bool


class Cgroup(NamedTuple):
    """A directory of the unified hierarchy (cgroup version 2)."""

    id: int
    """Inode number; no later cgroup has the same."""
    parent: int
    """Id of the cgroup that it is in; 0 for the root."""
    name: bytes
    """The last part of its path: anything but a slash and a newline. Empty for the root."""


@dataclass(frozen=True, slots=True)
class FdFlow:
    """Descriptors opened and closed on the whole host, by fd type."""

    opened: Mapping[FdType, int]
    closed: Mapping[FdType, int]


@dataclass(frozen=True, slots=True)
class MapFill:
    """How full a map is, in entries."""

    entries: int
    capacity: int


@dataclass(frozen=True, slots=True)
class Runs:
    """How often a BPF program ran, and for how long."""

    count: int
    nanoseconds: int


@dataclass(frozen=True, slots=True)
class Accounts:
    """The amounts of each process; they only grow from one reading to the next."""

    amounts: Mapping[ProcessKey, Mapping[int, Amount]]
    """Per process: slot code (see ``slots``) to amount, host-wide sums over the CPUs."""
    processes: Mapping[ProcessKey, Process]
    maps: Mapping[str, MapFill] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UnderWay:
    """Bytes in flight: calls of sendfile and splice have sent them, and have not returned yet.

    They are read before the amounts and again after them: a call that returned meanwhile is in
    ``before`` only, one that began meanwhile in ``after`` only.
    """

    before: Mapping[FdType, int]
    after: Mapping[FdType, int]


NOTHING_UNDER_WAY = UnderWay({}, {})


@dataclass(frozen=True, slots=True)
class Snapshot(Accounts):
    """One consistent reading of every map."""

    overflow: Mapping[int, Amount] = field(default_factory=dict)
    """Slot code to the amount that had no room in the map; errno is not kept there."""
    under_way: UnderWay = NOTHING_UNDER_WAY
    losses: Mapping[Loss, int] = field(default_factory=dict)
    """Events since the start."""
    missed_runs: Mapping[str, int] = field(default_factory=dict)
    """Program name to runs that the kernel skipped because of recursion."""
    runs: Mapping[str, Runs] = field(default_factory=dict)
    """Program name to its runs; empty unless the kernel keeps statistics."""
    latency: Mapping[tuple[FdType, Account], "Latency"] = field(default_factory=dict)
    fanotify_waits: "Latency | None" = None
    """How long accesses waited for a permission group; None where that cannot be hooked."""
    stacks: Mapping[tuple[FdType, Account, str], int] = field(default_factory=dict)
    """Sampled stacks by fd type, account of the socket layer and path: see
    ``probes.read.stacks``."""
    filesystems: Mapping[tuple[str, FdType, Account], int] = field(default_factory=dict)
    """Bytes read or written by the type of the filesystem behind the file, of the whole host."""


@dataclass(frozen=True, slots=True)
class Latency:
    """A histogram of durations."""

    buckets: tuple[int, ...]
    """Bucket i counts durations above 2^(i-1) and up to 2^i nanoseconds."""
    nanoseconds: int
    """Sum of the durations."""
