# SPDX-License-Identifier: GPL-2.0-only
"""The last hour of the page: states made from the scrapes of others, compressed, in memory."""

import json
import time
import zlib
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass

from fdscope.exporter.page.state import state
from fdscope.exporter.page.sums import Reading

STEP_SECONDS = 15.0
"""Least time between two states that are kept."""
LENGTH_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class _Kept:
    age_from: float
    """Seconds of the monotonic clock."""
    at: int
    """Seconds since the epoch: what a person asks for."""
    packed: bytes


class History:
    """A ring of states: at most an hour, and at most ``most_bytes`` of compressed JSON.

    Written by the thread that collects, read by the event loop; none is changed once it is kept.
    """

    def __init__(
        self,
        most_bytes: int,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._most_bytes = most_bytes
        self._clock = clock
        self._wall = wall
        self._ring: deque[_Kept] = deque()
        self._bytes = 0
        self._last: Reading | None = None

    @property
    def kept_bytes(self) -> int:
        """Compressed bytes of all states."""
        return self._bytes

    def is_due(self) -> bool:
        """True if the next scrape should be added."""
        if not self._most_bytes:
            return False
        return self._last is None or self._clock() - self._last.at >= STEP_SECONDS

    def add(self, now: Reading, on_disk: frozenset[str]) -> None:
        """Keep the state between the last reading and this one."""
        before, self._last = self._last, now
        if before is None:
            return
        text = json.dumps(asdict(state(now, before, on_disk)), separators=(",", ":"))
        packed = zlib.compress(text.encode())
        self._ring.append(_Kept(now.at, round(self._wall()), packed))
        self._bytes += len(packed)
        while self._ring and (self._bytes > self._most_bytes or self._is_old(self._ring[0])):
            self._bytes -= len(self._ring.popleft().packed)

    def _is_old(self, kept: _Kept) -> bool:
        return self._clock() - kept.age_from > LENGTH_SECONDS

    def times(self) -> list[int]:
        """When the states were made, in seconds since the epoch, oldest first."""
        return [kept.at for kept in tuple(self._ring)]

    def state_at(self, at: int) -> bytes | None:
        """The JSON of the last state made at or before that time; None if there is none."""
        ring = tuple(self._ring)
        place = bisect_right(ring, at, key=lambda kept: kept.at)
        return zlib.decompress(ring[place - 1].packed) if place else None
