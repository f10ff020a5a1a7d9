# SPDX-License-Identifier: GPL-2.0-only
"""Server-sent events: the state of the page, every other second while a page is open."""

import asyncio
import json
import logging
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import asdict

from prometheus_client import Metric as Family

from fdscope.exporter.http.exposition import LeftOut
from fdscope.exporter.http.scraper import CrowdedError
from fdscope.exporter.page.history import History
from fdscope.exporter.page.state import disk_filesystems, state
from fdscope.exporter.page.sums import Reading, read

MAX_CLIENTS = 16
MAX_CLIENTS_PER_PEER = 8
INTERVAL_SECONDS = 2.0
WINDOW_SECONDS = 10.0
"""Seconds that rates cover, so that the picture does not flicker."""
FRESH_SECONDS = 1.0
"""A scrape of at most this age is used as a reading."""

log = logging.getLogger(__name__)


class Feed:
    """Makes one message every other second and sends it to all listeners.

    ``collect`` makes a scrape and passes its families to ``take()``.
    """

    def __init__(
        self,
        collect: Callable[[], Awaitable[None]],
        left_out: LeftOut,
        history: History,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._collect = collect
        self._left_out = left_out
        self._history = history
        self._clock = clock
        self._readings: deque[Reading] = deque()
        self._message = b""
        self._number = 0
        self._clients: Counter[str] = Counter()
        self._news = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self._on_disk: frozenset[str] = frozenset()

    @property
    def is_watched(self) -> bool:
        """True while a page is open, and for some seconds after."""
        return self._task is not None and not self._task.done()

    @property
    def listeners(self) -> int:
        """Number of open pages."""
        return self._clients.total()

    @property
    def kept(self) -> int:
        """Number of readings in memory."""
        return len(self._readings)

    def take(self, families: Iterable[Family]) -> None:
        """Keep the families of a scrape; may be called in another thread.

        While a page is open, and one in some seconds for the history.
        """
        is_due = self._history.is_due()
        if not self.is_watched and not is_due:
            return
        now = read(families, self._clock(), self._left_out)
        if is_due:
            self._history.add(now, self._disks())
        if not self.is_watched:
            return
        self._readings.append(now)
        while now.at - self._readings[0].at > WINDOW_SECONDS:
            self._readings.popleft()

    async def messages(self, peer: str = "") -> AsyncGenerator[bytes, None]:
        """The last message at once, then each new one.

        CrowdedError if there are too many listeners, in all or from this peer.
        """
        if self._clients.total() >= MAX_CLIENTS or self._clients[peer] >= MAX_CLIENTS_PER_PEER:
            raise CrowdedError
        self._clients[peer] += 1
        if not self.is_watched and not self._stopped:
            self._task = asyncio.create_task(self._run())
        seen = 0
        try:
            while True:
                async with self._news:
                    while not self._stopped and self._number == seen:
                        await self._news.wait()
                if self._stopped:
                    return
                seen = self._number
                yield self._message
        finally:
            self._clients -= Counter((peer,))

    async def stop(self) -> None:
        """Disconnect all listeners."""
        self._stopped = True
        if self._task:
            self._task.cancel()
        async with self._news:
            self._news.notify_all()

    async def _run(self) -> None:
        idle_since = None
        # A page that was reopened during the last pause is served, too.
        while self._clients or idle_since is None or self._clock() - idle_since < WINDOW_SECONDS:
            if self._clients:
                idle_since = None
                await self._publish()
            else:
                idle_since = idle_since or self._clock()
            # The first reading gives no rates: the second one follows soon.
            first = len(self._readings) < 2
            await asyncio.sleep(INTERVAL_SECONDS / (2 if first else 1))
        self._readings.clear()
        self._number, self._message, self._task = 0, b"", None

    async def _publish(self) -> None:
        try:
            if not self._readings or self._clock() - self._readings[-1].at > FRESH_SECONDS:
                await self._collect()
            payload = await asyncio.to_thread(self._state)
        except Exception:
            log.exception("the page's reading failed")
            payload = {"readable": False}
        async with self._news:
            self._message = f"data: {json.dumps(payload, separators=(',', ':'))}\n\n".encode()
            self._number += 1
            self._news.notify_all()

    def _state(self) -> dict[str, object]:
        readings = tuple(self._readings)
        now, before = readings[-1], readings[0]
        return asdict(state(now, before if before is not now else None, self._disks()))

    def _disks(self) -> frozenset[str]:
        self._on_disk = self._on_disk or disk_filesystems()
        return self._on_disk
