# SPDX-License-Identifier: GPL-2.0-only
"""The HTTP server for a registry and the live page, in one event loop."""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry

from fdscope.exporter.http import handlers
from fdscope.exporter.http.connections import Connections, LimitedServer
from fdscope.exporter.http.scraper import Scraper
from fdscope.exporter.http.systemd import Notifier
from fdscope.exporter.page import PageData, doctor, render
from fdscope.exporter.page import handlers as page_handlers
from fdscope.exporter.page.doors import Demonstration, Doors, no_demonstration
from fdscope.exporter.page.feed import Feed
from fdscope.exporter.page.history import History
from fdscope.exporter.page.watches import Watches
from fdscope.exporter.settings.options import Options
from fdscope.exporter.spotlight.recorder import Recorder
from fdscope.exporter.web_config.gate import Gate
from fdscope.exporter.web_config.protection import Protection

GRACE_SECONDS = 5.0

log = logging.getLogger(__name__)


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
        doors: Demonstration = no_demonstration,
        recorder: Recorder | None = None,
    ) -> None:
        """``recorder``: keeps watched processes; None where none can be watched."""
        self.connections = Connections()
        self.scraper = Scraper(registry, ready)
        self._history = History(options.history_megabytes * 1_000_000)
        self.feed = Feed(self.scraper.collect, self.scraper.left_out, self._history)
        self.scraper.observer = self.feed.take
        self._options = options
        self._page = page
        self._doors = Doors(doors)
        self.watches = Watches(recorder)
        self._gate = Gate(protection or Protection(None))
        self._sockets = sockets
        self._http: LimitedServer | None = None
        self._first: asyncio.Task[None] | None = None
        self._is_refusing = False

    async def start(self) -> None:
        """Accept connections, and collect once, so that readiness does not wait for a scrape."""
        path = self._options.telemetry_path
        routes = (
            *page_handlers.routes(
                lambda details: render(self._page(), path, details),
                lambda: doctor.render(self._page(), path),
                self.feed,
                self._doors,
                page_handlers.Details(self._history, self.watches, self._options.details),
            ),
            *handlers.routes(path, self.scraper),
        )
        access = handlers.Access(self._gate, self.connections)
        application = handlers.application(access, routes)
        self._http = LimitedServer(application, self.connections, self._gate)
        self._http.add_sockets(self._sockets)
        self._first = asyncio.create_task(self._first_collection())

    async def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Stop accepting, give requests in flight that long to end, close all connections."""
        if self._http is None:
            return
        self._http.stop()
        for listener in self._sockets:
            listener.close()
        await self.feed.stop()
        await self.watches.stop()
        deadline = time.monotonic() + grace_seconds
        while (self.connections.are_busy or self.scraper.is_busy) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        await self._http.close_all_connections()
        if self._first:
            self._first.cancel()
        self.scraper.close()
        self._gate.close()

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
        """Read the web configuration again; send READY to the service manager in any case.

        Before the first collection has ended, READY is sent at its end.
        """
        is_up = self._first is not None and self._first.done()
        if is_up:
            notifier.reloading()
        self._is_refusing = not self._gate.reload()
        if is_up:
            notifier.ready(self._status())

    def _status(self) -> str:
        if self._is_refusing:
            return "every request is refused: the web configuration is wrong"
        return "serving"

    async def _prove_life(self, notifier: Notifier) -> None:
        """Send READY after the first collection, then feed the watchdog.

        Not while a collection has taken as long as the watchdog's interval.
        """
        if self._first:
            await asyncio.wait([self._first])
        notifier.ready(self._status())
        patience = notifier.watchdog_seconds
        while patience:
            if not self.scraper.is_stuck(patience):
                notifier.alive()
            await asyncio.sleep(patience / 3)

    async def _first_collection(self) -> None:
        try:
            await self.scraper.scrape("", "")
        except Exception:
            log.exception("the first collection failed")
