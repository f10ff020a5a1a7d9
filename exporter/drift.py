# SPDX-License-Identifier: GPL-2.0-only
"""The census against the events: open now should be open at first, plus opened, less closed.

A census takes a while, and descriptors come and go meanwhile. So what it says of the number that
was open when counting began is an interval, as wide as what came and went. All intervals of an fd
type should have a number in common; the drift is how far the newest lies from the others.
"""

from collections.abc import Mapping
from typing import NamedTuple

from probes.snapshot import FdFlow
from probes.taxonomy import FdType


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
