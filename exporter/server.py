# SPDX-License-Identifier: GPL-2.0-only
"""HTTP: a registry and a landing page, on sockets that stand clients of any kind."""

import asyncio
import gzip
import logging
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from tornado.iostream import IOStream, StreamClosedError

from exporter.handlers import CrowdedError, application
from exporter.listen import LimitedServer
from exporter.options import Options
from exporter.page import PageData

MAX_WAITING = 32
"""Scrapes that may wait for their turn; more are turned away."""
GRACE_SECONDS = 5.0

_GZIP_LEVEL = 4
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Exposition:
    """Metrics as they go over the wire."""

    body: bytes
    content_type: str
    encoding: str


class Server:
    """Serves a registry on listening sockets, from ``start()`` to ``stop()`` in one event loop."""

    def __init__(
        self,
        options: Options,
        sockets: Sequence[socket.socket],
        registry: CollectorRegistry,
        page: Callable[[], PageData],
        ready: Callable[[], str | None],
    ) -> None:
        self.options = options
        self.page = page
        self._ready = ready
        self._sockets = sockets
        self._registry = registry
        self._http: LimitedServer | None = None
        self._first: asyncio.Task[None] | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="scrape")
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._busy: set[IOStream] = set()

    async def start(self) -> None:
        """Accept connections, and collect once so that readiness does not wait for a scrape."""
        self._http = LimitedServer(application(self), self._busy)
        self._http.add_sockets(self._sockets)
        self._first = asyncio.create_task(self._first_collection())

    async def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Accept no more, let requests under way end for that long, close all connections."""
        if self._http is None:
            return
        self._http.stop()
        deadline = time.monotonic() + grace_seconds
        while (self._busy or self._turn.locked()) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        await self._http.close_all_connections()
        if self._first:
            self._first.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def serve(self) -> None:
        """Serve until SIGTERM or SIGINT; main thread only."""
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        await self.start()
        await stopped.wait()
        log.info("stopping")
        await self.stop()

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
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(
                    self._pool, _expose, self._registry, accept, accept_encoding
                )
        finally:
            self._waiting -= 1

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


def _expose(registry: CollectorRegistry, accept: str, accept_encoding: str) -> Exposition:
    """Collect and encode; runs in the pool's thread."""
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # a version in the header that is none
        encode, content_type = choose_encoder("")
    body = encode(registry)
    if not _accepts_gzip(accept_encoding):
        return Exposition(body, content_type, "")
    return Exposition(gzip.compress(body, _GZIP_LEVEL), content_type, "gzip")


def _accepts_gzip(header: str) -> bool:
    """Tell if an Accept-Encoding header names gzip, and not with a weight of 0."""
    for entry in header.lower().split(","):
        name, _, weight = entry.replace(" ", "").partition(";")
        if name == "gzip":
            return not re.fullmatch(r"q=0(\.0*)?", weight)
    return False
