# SPDX-License-Identifier: GPL-2.0-only
"""The base of all pages, and the plain ones: metrics, health and readiness."""

import asyncio
import logging
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tornado import web
from tornado.http1connection import HTTP1Connection
from tornado.iostream import IOStream, StreamClosedError

from fdscope.exporter.http.connections import Connections
from fdscope.exporter.http.scraper import CrowdedError, Scraper
from fdscope.exporter.settings.options import HEALTHY_PATH, READY_PATH
from fdscope.exporter.web_config.gate import CHALLENGE, Gate

if TYPE_CHECKING:
    from asyncio import Future

WRITE_SECONDS = 20.0
"""Limit on the time in which a client reads a piece of an answer."""
RESPONSE_SECONDS = 60.0
"""Limit for all pieces."""

_PIECE_BYTES = 65536
_PLAIN = "text/plain; charset=utf-8"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Access:
    """The gate, and the table of connections."""

    gate: Gate
    connections: Connections


class Handler(web.RequestHandler):
    """Answers GET and HEAD alike; subclasses implement ``respond()``."""

    SUPPORTED_METHODS: tuple[str, ...] = ("GET", "HEAD")
    is_scrape = False
    """True if its connections are closed last where room is needed."""

    def initialize(self, access: Access) -> None:
        """Set the arguments from the route table."""
        self.access = access

    def set_default_headers(self) -> None:
        """Send no banner; forbid the guessing of types, and caching."""
        self.clear_header("Server")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")

    async def prepare(self) -> None:
        """Check the request against the web configuration; refuse a body: no page takes one."""
        if pause := self.access.connections.pause(self.stream):
            await asyncio.sleep(pause)
        try:
            with self.access.connections.serving(self.stream, self.is_scrape):
                await self.access.gate.admit(self.request, self.stream, self.peer)
        except (ConnectionError, StreamClosedError) as error:
            log.debug("a connection is closed: %s", error)
            if self.stream:
                self.stream.close()
            raise web.Finish from error
        if self.request.body:
            raise web.HTTPError(413)

    def flush(self, include_footers: bool = False) -> "Future[None]":
        """Send; headers of the web configuration override those of the page."""
        for name, value in self.access.gate.headers().items():
            self.set_header(name, value)
        return super().flush(include_footers)

    def compute_etag(self) -> None:
        """Return None: the pages differ every time."""

    def write_error(self, status_code: int, **_: object) -> None:
        """Answer with a line of text."""
        if status_code == 401:
            self.set_header("WWW-Authenticate", CHALLENGE)
        if status_code in (429, 503):
            self.set_header("Retry-After", "1")
        if status_code == 405:
            self.set_header("Allow", ", ".join(self.SUPPORTED_METHODS))
        self.set_header("Content-Type", _PLAIN)
        self.finish(f"{status_code} {self._reason}\n")

    @property
    def stream(self) -> IOStream | None:
        """The connection's stream, None once it is closed."""
        connection = self.request.connection
        return connection.stream if isinstance(connection, HTTP1Connection) else None

    @property
    def peer(self) -> str:
        """The client: see ``exporter.http.peers``."""
        return self.access.connections.peer(self.stream)

    async def get(self) -> None:
        """Answer, and wait until all is sent."""
        try:
            with self.access.connections.serving(self.stream, self.is_scrape):
                await self.respond()
        except StreamClosedError:
            log.debug("a client left before its answer")

    async def head(self) -> None:
        """Answer as GET: tornado leaves the body out."""
        await self.get()

    async def respond(self) -> None:
        """Send the answer."""
        raise web.HTTPError(404)

    async def send(self, body: str | bytes, content_type: str = _PLAIN, status: int = 200) -> None:
        """Send a whole answer."""
        self.set_status(status)
        self.set_header("Content-Type", content_type)
        await self.deliver(self.finish(body))

    async def push(self, piece: bytes) -> None:
        """Send a piece; StreamClosedError if the client has left or does not read it."""
        self.write(piece)
        sent = self.flush()
        await self.deliver(sent)
        await asyncio.sleep(0)  # let others run: a socket can take many pieces at once
        if sent.done():
            sent.result()
        if self.stream is None or self.stream.closed():
            raise StreamClosedError

    async def push_all(self, pieces: Iterable[bytes]) -> None:
        """Send all pieces, one after the other; StreamClosedError past RESPONSE_SECONDS too."""
        deadline = time.monotonic() + RESPONSE_SECONDS
        if self.request.method != "HEAD":
            for piece in pieces:
                await self.push(piece)
                if time.monotonic() > deadline and self.stream:
                    self.stream.close()
        await self.deliver(self.flush())
        await self.deliver(self.finish())

    async def deliver(self, sent: "asyncio.Future[None]") -> None:
        """Wait until it is sent; close the connection if the client does not read it in time."""
        stream = self.stream
        deadline = time.monotonic() + WRITE_SECONDS
        if sent.done() or stream is None:
            return
        with self.access.connections.sending(stream):
            while not stream.closed() and not sent.done():
                if time.monotonic() > deadline:
                    stream.close()
                # Not one long wait: tornado does not always resolve `sent` when a client leaves.
                await asyncio.wait([sent], timeout=0.2)


class _Metrics(Handler):
    is_scrape = True

    def initialize(self, access: Access, scraper: Scraper) -> None:  # type: ignore[override]
        """Set the arguments from the route table."""
        super().initialize(access)
        self.scraper = scraper

    async def respond(self) -> None:
        """Send the exposition in the form that the client accepts."""
        header, stream = self.request.headers.get, self.stream
        try:
            exposition = await self.scraper.scrape(
                header("Accept", ""),
                header("Accept-Encoding", ""),
                lambda: stream is None or stream.closed(),
            )
        except CrowdedError:
            self.set_header("Retry-After", "1")
            await self.send("too many scrapes are waiting\n", status=503)
            return
        except Exception:
            log.exception("a scrape failed")
            await self.send("the collection failed: see the exporter's log\n", status=500)
            return
        if exposition is None:
            raise StreamClosedError
        self.set_header("Vary", "Accept, Accept-Encoding")
        if exposition.encoding:
            self.set_header("Content-Encoding", exposition.encoding)
        self.set_header("Content-Type", exposition.content_type)
        self.set_header("Content-Length", str(len(exposition.body)))
        await self.push_all(_pieces(exposition.body))


class Healthy(Handler):
    """The health page: 200 as long as the event loop runs."""

    is_scrape = True

    async def respond(self) -> None:
        """Send 200."""
        await self.send("fdscope is healthy\n")


class _Ready(Handler):
    is_scrape = True

    def initialize(self, access: Access, scraper: Scraper) -> None:  # type: ignore[override]
        """Set the arguments from the route table."""
        super().initialize(access)
        self.scraper = scraper

    async def respond(self) -> None:
        """Send 200, or 503 with the reason."""
        reason = await self.scraper.not_ready()
        if reason is None:
            await self.send("fdscope is ready\n")
        else:
            await self.send(f"fdscope is not ready: {reason}\n", status=503)


@dataclass(frozen=True, slots=True)
class Route:
    """A path, its handler, and the handler's arguments besides access."""

    path: str
    handler: type[Handler]
    needs: Mapping[str, Any]


def routes(telemetry_path: str, scraper: Scraper) -> Sequence[Route]:
    """The routes of the plain pages."""
    return (
        Route(telemetry_path, _Metrics, {"scraper": scraper}),
        Route(HEALTHY_PATH, Healthy, {}),
        Route(READY_PATH, _Ready, {"scraper": scraper}),
    )


def application(
    access: Access, pages: Iterable[Route], default: type[Handler] = Handler
) -> web.Application:
    """The application of these pages; ``default`` answers everything else (404)."""
    return web.Application(
        [(re.escape(page.path), page.handler, {"access": access, **page.needs}) for page in pages],
        default_handler_class=default,
        default_handler_args={"access": access},
        log_function=_log_request,
    )


def _pieces(body: bytes) -> Iterator[bytes]:
    return (body[at : at + _PIECE_BYTES] for at in range(0, len(body), _PIECE_BYTES))


def _log_request(handler: web.RequestHandler) -> None:
    request = handler.request
    log.debug(
        "%s %r from %s: %d", request.method, request.uri, request.remote_ip, handler.get_status()
    )
