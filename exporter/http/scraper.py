# SPDX-License-Identifier: GPL-2.0-only
"""Collections from a registry, one at a time; all waiting scrapes share the next one."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from prometheus_client import CollectorRegistry, Metric

from fdscope.exporter.http.exposition import Exposition, LeftOut, expose
from fdscope.exporter.http.negotiation import accepts_gzip, metrics_form

MAX_WAITING = 256
"""Most scrapes that wait for a collection; more are refused."""
_LONGEST_REST_SECONDS = 0.25
"""Most that the next collection waits: as long as the last one ran on a CPU."""

Result = TypeVar("Result")


class CrowdedError(Exception):
    """Too many scrapes are waiting."""


@dataclass(slots=True, eq=False)
class _Collected:
    """The families of one collection, and each requested form of them, encoded once."""

    families: Sequence[Metric]
    forms: dict[tuple[str, bool], Exposition] = field(default_factory=dict)

    def exposed(self, form: str, packed: bool, left_out: LeftOut) -> Exposition:
        """Encode, in the pool's thread."""
        key = form, packed
        if key not in self.forms:
            self.forms[key] = expose(self.families, form, "gzip" if packed else "", left_out)
        return self.forms[key]


@dataclass(slots=True, eq=False)
class _Next:
    """A collection that has not begun; scrapes that arrive before get it."""

    gone: list[Callable[[], bool]]
    done: "asyncio.Task[_Collected | None]"


class Scraper:
    """Gives each scrape a collection that began after its request.

    The single thread of a pool collects and encodes; everything else runs in the event loop.
    """

    def __init__(self, registry: CollectorRegistry, ready: Callable[[], str | None]) -> None:
        """``ready`` returns why there is nothing to scrape yet, or None; it may take a while."""
        self.observer: Callable[[Sequence[Metric]], None] = lambda _: None
        """Called with the families of every collection, in the pool's thread."""
        self.left_out = LeftOut()
        """Families that could not be encoded; only the pool's thread adds to it."""
        registry.register(self.left_out)
        self._registry = registry
        self._ready = ready
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="scrape")
        self._turn = asyncio.Lock()
        self._next: _Next | None = None
        self._readiness: asyncio.Future[str | None] | None = None
        self._waiting = 0
        self._began: float | None = None
        self._rest_until = 0.0

    @property
    def is_busy(self) -> bool:
        """True during a collection."""
        return self._turn.locked()

    def is_stuck(self, patience: float) -> bool:
        """True if the current collection has taken that many seconds or more."""
        return self._began is not None and time.monotonic() - self._began >= patience

    @property
    def waiting(self) -> int:
        """Number of scrapes that are collected or wait for it."""
        return self._waiting

    async def scrape(
        self,
        accept: str,
        accept_encoding: str,
        is_gone: Callable[[], bool] = lambda: False,
    ) -> Exposition | None:
        """Collect, for this client and all that wait; None if the client has left meanwhile.

        CrowdedError if too many are waiting.
        """
        if self._waiting >= MAX_WAITING:
            raise CrowdedError
        self._waiting += 1
        try:
            collected = await self._collected(is_gone)
            if collected is None or is_gone():
                return None
            form, packed = metrics_form(accept), accepts_gzip(accept_encoding)
            return await self._in_pool(lambda: collected.exposed(form, packed, self.left_out))
        finally:
            self._waiting -= 1

    async def collect(self) -> None:
        """Collect for the observer alone."""
        await self._collected(lambda: False)

    async def not_ready(self) -> str | None:
        """Why it is not ready yet, or None; concurrent callers share one answer."""
        if self._readiness is None:
            self._readiness = asyncio.ensure_future(self._in_pool(self._ready))
            self._readiness.add_done_callback(self._forget_readiness)
        return await asyncio.shield(self._readiness)

    def close(self) -> None:
        """Start no further collection; a running one finishes."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _forget_readiness(self, done: "asyncio.Future[str | None]") -> None:
        self._readiness = None
        if not done.cancelled():
            done.exception()  # every caller got it

    async def _collected(self, is_gone: Callable[[], bool]) -> _Collected | None:
        if self._next is None:
            self._next = _Next([], asyncio.create_task(self._run()))
        self._next.gone.append(is_gone)
        return await asyncio.shield(self._next.done)

    async def _run(self) -> _Collected | None:
        async with self._turn:
            # Clients that ask without end take half of a processor, not a whole one.
            await asyncio.sleep(self._rest_until - time.monotonic())
            mine, self._next = self._next, None
            if mine and all(is_gone() for is_gone in mine.gone):
                return None
            self._began = time.monotonic()
            try:
                return await self._in_pool(self._collect)
            finally:
                self._began = None

    def _collect(self) -> _Collected:
        began = time.thread_time()
        families = list(self._registry.collect())
        self.observer(families)
        rest = min(time.thread_time() - began, _LONGEST_REST_SECONDS)
        self._rest_until = time.monotonic() + rest
        return _Collected(families)

    async def _in_pool(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)
