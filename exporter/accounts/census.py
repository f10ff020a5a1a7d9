# SPDX-License-Identifier: GPL-2.0-only
"""The census of open fds: a separate thread takes it every few seconds, never a scrape."""

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from fdscope.probes.read.census import ProcessFds
from fdscope.probes.read.fd_tables import Missing
from fdscope.probes.schema.snapshot import FdFlow, ProcessKey
from fdscope.probes.schema.taxonomy import FdType

# The census against the events: open now should be open at first, plus opened, less closed.
#
# A census takes a while, and fds are opened and closed meanwhile. So the number that was open when
# counting began follows from it only as an interval, as wide as what was opened and closed. All
# intervals of an fd type should overlap; the drift is how far the newest lies from the others.


class _Interval(NamedTuple):
    low: int
    high: int

    def common(self, other: "_Interval") -> "_Interval":
        return _Interval(max(self.low, other.low), min(self.high, other.high))

    def distance(self, other: "_Interval") -> int:
        """Gap by which this one lies above (or, negative, below) the other; 0 if they overlap."""
        return max(self.low - other.high, 0) + min(self.high - other.low, 0)


class Drift:
    """Drift by fd type, from census to census."""

    def __init__(self) -> None:
        self._base: dict[FdType, _Interval] = {}
        self._before: dict[FdType, int] = {}

    def update(
        self, counts: Mapping[FdType, int], before: FdFlow, after: FdFlow
    ) -> dict[FdType, int]:
        """Add a census, with the flow when it began and when it ended; return the drift.

        A drift counts once two readings in a row have it: an event whose effect is still to come
        is balanced by the next.
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
_UNSEEN_SECONDS = 10.0
"""Between two of them while nobody looks: a scrape after a pause shows one that is no older."""
_SEEN_SECONDS = 65.0
"""So long after somebody has looked, they are taken at the short interval."""
_STEP_SECONDS = 0.02
"""Seconds of work before the thread rests."""
_REST_SECONDS = 0.06
_LARGEST_SHARE = 0.2
"""Most seconds that a census may take, rests included, however many processes there are."""
_LARGEST_WORK = 0.03
"""Share of a processor that it may use."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A complete census."""

    processes: Mapping[ProcessKey, ProcessFds] = field(default_factory=dict)
    unreadable: int = 0
    ended: float = 0.0
    """Time of its end, in seconds of the clock."""
    seconds: float = 0.0
    """Seconds that it took, rests included."""
    drift: Mapping[FdType, int] = field(default_factory=dict)


class Source(Protocol):
    """Reads the fds of processes: ``probes.read.census.Census``."""

    def processes(self) -> list[int]:
        """All process ids."""

    def fds_of(self, pid: int) -> ProcessFds | Missing:
        """The fds of a process."""


class CensusTaker:
    """Takes a census every few seconds; ``last`` is the newest complete one."""

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
        self._woken = threading.Event()
        """Somebody looks, or it is the end."""
        self._seen = -math.inf
        self._thread = threading.Thread(target=self._run, name="census", daemon=True)
        self.last: Taken | None = None
        self.failures = 0
        """Number of censuses that failed."""

    def start(self) -> None:
        """Start the thread; ``close()`` stops it."""
        self._thread.start()

    def close(self) -> None:
        """Stop; returns when the thread has ended."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> Taken | None:
        """The last census, for somebody who may come again soon: the next comes soon too."""
        self._seen = self._clock()
        self._woken.set()
        return self.last

    @property
    def age(self) -> float | None:
        """Seconds since the last complete census; None if there is none yet."""
        return None if self.last is None else self._clock() - self.last.ended

    def take(self) -> Taken | None:
        """A complete census, taken in steps; None if ``close()`` was called meanwhile."""
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
        while not self._stopping.is_set():
            began = time.thread_time()
            try:
                taken = self.take()
            except Exception:
                self.failures += 1
                log.exception("the census of open descriptors failed")
                taken = None
            seconds = taken.seconds if taken else 0.0
            work = time.thread_time() - began
            self._rest(max(_INTERVAL_SECONDS, seconds / _LARGEST_SHARE, work / _LARGEST_WORK))

    def _rest(self, least: float) -> None:
        """Wait for ``least`` seconds, and while nobody looks for the long interval."""
        self._woken.clear()
        ended = self._clock() + max(least, _UNSEEN_SECONDS)
        if self._stopping.wait(least):
            return
        if self._clock() - self._seen >= _SEEN_SECONDS:
            self._woken.wait(max(ended - self._clock(), 0.0))


def _sums(processes: Mapping[ProcessKey, ProcessFds]) -> dict[FdType, int]:
    sums = dict.fromkeys(FdType, 0)
    for found in processes.values():
        for fd_type, count in found.counts.items():
            sums[fd_type] += count
    return sums
