# SPDX-License-Identifier: GPL-2.0-only
"""HTTP: a registry and a landing page, on sockets that stand clients of any kind."""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from prometheus_client import CollectorRegistry
from tornado.iostream import IOStream, StreamClosedError

from exporter.exposition import Exposition, expose
from exporter.handlers import CrowdedError, application
from exporter.listen import LimitedServer
from exporter.notify import Notifier
from exporter.options import Options
from exporter.page import PageData
from exporter.page import handlers as page_handlers
from exporter.page.feed import Feed
from exporter.web_config.gate import Gate
from exporter.web_config.protection import Protection

MAX_WAITING = 32
"""Scrapes that may wait for their turn; more are turned away."""
GRACE_SECONDS = 5.0

log = logging.getLogger(__name__)
Result = TypeVar("Result")


class Server:
    """Serves a registry on listening sockets, from ``start()`` to ``stop()`` in one event loop."""

    def __init__(
        self,
        options: Options,
        sockets: Sequence[socket.socket],
        registry: CollectorRegistry,
        page: Callable[[], PageData],
        ready: Callable[[], str | None],
        protection: Protection | None = None,
    ) -> None:
        self.options = options
        self.page = page
        self.gate = Gate(protection or Protection(None))
        self._ready = ready
        self._sockets = sockets
        self._registry = registry
        self._http: LimitedServer | None = None
        self._first: asyncio.Task[None] | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="scrape")
        self._turn = asyncio.Lock()
        self.feed = Feed(self._collect_for_page)
        self._waiting = 0
        self._began: float | None = None
        """When the collection under way began."""
        self._busy: set[IOStream] = set()

    async def start(self) -> None:
        """Accept connections, and collect once so that readiness does not wait for a scrape."""
        routes = page_handlers.routes()
        self._http = LimitedServer(application(self, routes), self._busy, self.gate)
        self._http.add_sockets(self._sockets)
        self._first = asyncio.create_task(self._first_collection())

    async def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Accept no more, let requests under way end for that long, close all connections."""
        if self._http is None:
            return
        self._http.stop()
        await self.feed.stop()
        deadline = time.monotonic() + grace_seconds
        while (self._busy or self._turn.locked()) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        await self._http.close_all_connections()
        if self._first:
            self._first.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.gate.close()

    async def serve(self, notifier: Notifier) -> None:
        """Serve until SIGTERM or SIGINT; SIGHUP reads the web configuration. Main thread only."""
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload, notifier)
        await self.start()
        watchdog = asyncio.create_task(self._prove_life(notifier))
        await stopped.wait()
        log.info("stopping")
        notifier.stopping()
        await self.stop()
        watchdog.cancel()

    def _reload(self, notifier: Notifier) -> None:
        notifier.reloading()
        notifier.ready("serving" if self.gate.reload() else "the web configuration is wrong")

    async def _prove_life(self, notifier: Notifier) -> None:
        """Tell the service manager once the first metrics are there, and then as long as it goes.

        A collection that hangs for as long as the manager's patience counts as dead.
        """
        if self._first:
            await asyncio.wait([self._first])
        notifier.ready("serving")
        patience = notifier.watchdog_seconds
        while patience:
            if self._began is None or time.monotonic() - self._began < patience:
                notifier.alive()
            await asyncio.sleep(patience / 3)

    async def scrape(
        self, accept: str, accept_encoding: str, is_gone: Callable[[], bool]
    ) -> Exposition | None:
        """Collect in a turn of its own; None if the client has gone while it waited."""
        if self._waiting >= MAX_WAITING:
            raise CrowdedError
        self._waiting += 1
        try:
            async with self._turn:
                if is_gone():
                    return None
                return await self._in_pool(lambda: self._expose(accept, accept_encoding))
        finally:
            self._waiting -= 1

    def _expose(self, accept: str, accept_encoding: str) -> Exposition:
        """Collect and encode, and let the page have the same families; in the pool's thread."""
        families = list(self._registry.collect())
        if self.feed.is_watched:
            self.feed.take(families)
        return expose(families, accept, accept_encoding)

    async def _collect_for_page(self) -> None:
        async with self._turn:
            await self._in_pool(lambda: self.feed.take(self._registry.collect()))

    async def _in_pool(self, collect: Callable[[], Result]) -> Result:
        self._began = time.monotonic()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, collect)
        finally:
            self._began = None

    async def not_ready(self) -> str | None:
        """Why it is not ready yet; asked in the pool, for the answer can take a collection."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._ready)

    @contextmanager
    def working(self, stream: IOStream | None) -> Iterator[None]:
        """Mark a connection as one with a request under way."""
        if stream is None:
            raise StreamClosedError
        self._busy.add(stream)
        try:
            yield
        finally:
            self._busy.discard(stream)

    async def _first_collection(self) -> None:
        try:
            await self.scrape("", "", lambda: False)
        except Exception:
            log.exception("the first collection failed")
