# SPDX-License-Identifier: GPL-2.0-only
"""The census of open descriptors: taken now and then by a thread of its own, never in a scrape."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from fdscope.probes.read.census import Missing, ProcessFds
from fdscope.probes.schema.snapshot import FdFlow, ProcessKey
from fdscope.probes.schema.taxonomy import FdType

# The census against the events: open now should be open at first, plus opened, less closed.
#
# A census takes a while, and descriptors come and go meanwhile. So what it says of the number that
# was open when counting began is an interval, as wide as what came and went. All intervals of an fd
# type should have a number in common; the drift is how far the newest lies from the others.


class _Interval(NamedTuple):
    low: int
    high: int

    def common(self, other: "_Interval") -> "_Interval":
        return _Interval(max(self.low, other.low), min(self.high, other.high))

    def distance(self, other: "_Interval") -> int:
        """How far this one lies above (or, negative, below) the other; 0 if they meet."""
        return max(self.low - other.high, 0) + min(self.high - other.low, 0)


class Drift:
    """Drift by fd type, from census to census."""

    def __init__(self) -> None:
        self._base: dict[FdType, _Interval] = {}
        self._before: dict[FdType, int] = {}

    def update(
        self, counts: Mapping[FdType, int], before: FdFlow, after: FdFlow
    ) -> dict[FdType, int]:
        """Take a census in, with the flow when it began and when it ended.

        A drift counts once two readings in a row have it: what lies between an event and its
        effect explains itself with the next.
        """
        confirmed = {}
        for fd_type, count in counts.items():
            opened = after.opened[fd_type] - before.opened[fd_type]
            closed = after.closed[fd_type] - before.closed[fd_type]
            start = count - (before.opened[fd_type] - before.closed[fd_type])
            interval = _Interval(start - opened, start + closed)
            base = self._base.setdefault(fd_type, interval)
            drift = interval.distance(base)
            if not drift:
                self._base[fd_type] = base.common(interval)
            earlier = self._before.get(fd_type, 0)
            confirmed[fd_type] = min(drift, earlier, key=abs) if drift * earlier > 0 else 0
            self._before[fd_type] = drift
        return confirmed


log = logging.getLogger(__name__)

_INTERVAL_SECONDS = 5.0
_STEP_SECONDS = 0.02
"""Work at a stretch; then the thread makes room for others."""
_REST_SECONDS = 0.06
_LARGEST_SHARE = 0.2
"""Of the time that a census may take, work and rests together, however many processes there are."""
_LARGEST_WORK = 0.03
"""Of a processor that it may take."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One whole census."""

    processes: Mapping[ProcessKey, ProcessFds] = field(default_factory=dict)
    unreadable: int = 0
    ended: float = 0.0
    """When, in seconds of the clock."""
    seconds: float = 0.0
    """How long it took, rests included."""
    drift: Mapping[FdType, int] = field(default_factory=dict)


class Source(Protocol):
    """Tells the descriptors of a process: ``probes.read.census.Census``."""

    def processes(self) -> list[int]:
        """All process ids there are."""

    def fds_of(self, pid: int) -> ProcessFds | Missing:
        """The descriptors of a process."""


class CensusTaker:
    """Takes a census every few seconds; ``last`` is the newest whole one."""

    def __init__(
        self,
        source: Source,
        flow: Callable[[], FdFlow],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._flow = flow
        self._clock = clock
        self._drift = Drift()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="census", daemon=True)
        self.last: Taken | None = None
        self.failures = 0
        """Censuses that an error ended."""

    def start(self) -> None:
        """Begin, in a thread that ``close()`` ends."""
        self._thread.start()

    def close(self) -> None:
        """Stop; returns when the thread has ended."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def age(self) -> float | None:
        """Seconds since the last whole census; None if there is none yet."""
        return None if self.last is None else self._clock() - self.last.ended

    def take(self) -> Taken | None:
        """One whole census, in steps; None if ``close()`` came in between."""
        started = self._clock()
        before = self._flow()
        processes: dict[ProcessKey, ProcessFds] = {}
        unreadable = 0
        step = self._clock()
        for pid in self._source.processes():
            found = self._source.fds_of(pid)
            if isinstance(found, ProcessFds):
                processes[found.key] = found
            elif found is Missing.UNREADABLE:
                unreadable += 1
            if self._clock() - step >= _STEP_SECONDS:
                if self._stopping.wait(_REST_SECONDS):
                    return None
                step = self._clock()
        after = self._flow()
        ended = self._clock()
        drift = self._drift.update(_sums(processes), before, after)
        self.last = Taken(processes, unreadable, ended, ended - started, drift)
        return self.last

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            began = time.thread_time()
            try:
                taken = self.take()
            except Exception:
                self.failures += 1
                log.exception("the census of open descriptors failed")
                taken = None
            seconds = taken.seconds if taken else 0.0
            work = time.thread_time() - began
            pause = max(_INTERVAL_SECONDS, seconds / _LARGEST_SHARE, work / _LARGEST_WORK)


def _sums(processes: Mapping[ProcessKey, ProcessFds]) -> dict[FdType, int]:
    sums = dict.fromkeys(FdType, 0)
    for found in processes.values():
        for fd_type, count in found.counts.items():
            sums[fd_type] += count
    return sums
