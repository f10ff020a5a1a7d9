# SPDX-License-Identifier: GPL-2.0-only
"""What every page has, and the plain ones: metrics, health and readiness."""

import asyncio
import logging
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tornado import web
from tornado.http1connection import HTTP1Connection
from tornado.iostream import IOStream, StreamClosedError

from exporter.options import HEALTHY_PATH, READY_PATH
from exporter.web_config.gate import CHALLENGE

if TYPE_CHECKING:
    from asyncio import Future

    from exporter.server import Server

WRITE_SECONDS = 20.0
"""How long a client may take to accept a response."""

Routes = Sequence[tuple[str, type["Handler"]]]
"""Pages: path and handler."""

_PLAIN = "text/plain; charset=utf-8"
log = logging.getLogger(__name__)


class CrowdedError(Exception):
    """Too many scrapes wait already."""


class Handler(web.RequestHandler):
    """Answers GET and HEAD alike; subclasses implement ``respond()``."""

    SUPPORTED_METHODS = ("GET", "HEAD")

    def initialize(self, server: "Server") -> None:
        """Take what the route table gives."""
        self.server = server

    def set_default_headers(self) -> None:
        """No banner, no guessing of types, nothing kept by caches."""
        self.clear_header("Server")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")

    async def prepare(self) -> None:
        """Let in whom the web configuration lets in; refuse a body: no page here takes one."""
        try:
            with self.server.working(self.stream):
                await self.server.gate.admit(self.request, self.stream)
        except (ConnectionError, StreamClosedError) as error:
            log.debug("a connection is closed: %s", error)
            if self.stream:
                self.stream.close()
            raise web.Finish from error
        if self.request.body:
            raise web.HTTPError(413)

    def flush(self, include_footers: bool = False) -> "Future[None]":
        """Send; the headers of the web configuration win over the pages' own."""
        for name, value in self.server.gate.headers().items():
            self.set_header(name, value)
        return super().flush(include_footers)

    def compute_etag(self) -> None:
        """None: the pages are different every time."""

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

    async def get(self) -> None:
        """Answer, to the end of sending."""
        try:
            with self.server.working(self.stream):
                await self.respond()
        except StreamClosedError:
            log.debug("a client left before its answer")

    async def head(self) -> None:
        """Do the same: tornado leaves the body out."""
        await self.get()

    async def respond(self) -> None:
        """Send the answer."""
        raise web.HTTPError(404)

    async def send(self, body: str | bytes, content_type: str = _PLAIN, status: int = 200) -> None:
        """Send an answer that is complete."""
        self.set_status(status)
        self.set_header("Content-Type", content_type)
        await self.deliver(self.finish(body))

    async def deliver(self, sent: "asyncio.Future[None]") -> None:
        """Wait until it is sent, and close on a client that does not take it in time."""
        stream = self.stream
        deadline = time.monotonic() + WRITE_SECONDS
        while stream and not stream.closed() and not sent.done():
            if time.monotonic() > deadline:
                stream.close()
            # Not one long wait: tornado does not always resolve `sent` when the client leaves.
            await asyncio.wait([sent], timeout=0.2)


class _Metrics(Handler):
    async def respond(self) -> None:
        """Send the exposition in the form that the client accepts."""
        header, stream = self.request.headers.get, self.stream
        try:
            exposition = await self.server.scrape(
                header("Accept", ""),
                header("Accept-Encoding", ""),
                lambda: stream is None or stream.closed(),
            )
        except CrowdedError:
            self.set_header("Retry-After", "1")
            await self.send("too many scrapes wait for their turn\n", status=503)
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
        await self.send(exposition.body, exposition.content_type)


class _Healthy(Handler):
    async def respond(self) -> None:
        """Send 200: who answers is alive."""
        await self.send("fdscope is healthy\n")


class _Ready(Handler):
    async def respond(self) -> None:
        """Send 200, or 503 with the reason."""
        reason = await self.server.not_ready()
        if reason is None:
            await self.send("fdscope is ready\n")
        else:
            await self.send(f"fdscope is not ready: {reason}\n", status=503)


def application(server: "Server", pages: Routes) -> web.Application:
    """These pages and the plain ones, and 404 for everything else."""
    arguments = {"server": server}
    routes = (
        *pages,
        (server.options.telemetry_path, _Metrics),
        (HEALTHY_PATH, _Healthy),
        (READY_PATH, _Ready),
    )
    return web.Application(
        [(re.escape(path), handler, arguments) for path, handler in routes],
        default_handler_class=Handler,
        default_handler_args=arguments,
        log_function=_log_request,
    )


def _log_request(handler: web.RequestHandler) -> None:
    request = handler.request
    log.debug(
        "%s %r from %s: %d", request.method, request.uri, request.remote_ip, handler.get_status()
    )
