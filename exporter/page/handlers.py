# SPDX-License-Identifier: GPL-2.0-only
"""HTTP for the live page: the page, its files and its events."""

import zlib
from collections.abc import Iterator
from contextlib import aclosing

from tornado.iostream import StreamClosedError

from exporter.handlers import CrowdedError, Handler, Routes
from exporter.options import EVENTS_PATH, STATIC_PATH
from exporter.page import render
from exporter.page.files import CHARTS, File, files

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # the charting library sets style attributes
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_GZIP_LEVEL, _GZIP_FORMAT = 4, 31


class _Streaming(Handler):
    async def push(self, piece: bytes) -> None:
        """Send a piece; StreamClosedError if the client has left or does not take it."""
        self.write(piece)
        sent = self.flush()
        await self.deliver(sent)
        if sent.done():
            sent.result()
        if self.stream is None or self.stream.closed():
            raise StreamClosedError


class _Page(Handler):
    async def respond(self) -> None:
        """Send the page."""
        self.set_header("Content-Security-Policy", _POLICY)
        self.set_header("Referrer-Policy", "no-referrer")
        page = render(self.server.page(), self.server.options.telemetry_path, CHARTS in files())
        await self.send(page, "text/html; charset=utf-8")


class _File(_Streaming):
    async def respond(self) -> None:
        """Send a file, or 304 if the client has it already."""
        file = files()[self.request.path.removeprefix(STATIC_PATH)]
        self.set_header("ETag", file.tag)
        self.set_header("Cache-Control", "no-cache")  # that is: ask whether it has changed
        self.set_header("Vary", "Accept-Encoding")
        if file.tag in self.request.headers.get("If-None-Match", ""):
            self.set_status(304)
            await self.deliver(self.finish())
            return
        self.set_header("Content-Type", file.content_type)
        packed = "gzip" in self.request.headers.get("Accept-Encoding", "")
        if packed:
            self.set_header("Content-Encoding", "gzip")
        else:
            self.set_header("Content-Length", str(file.path.stat().st_size))
        if self.request.method != "HEAD":
            for piece in _gzip(file) if packed else file.pieces():
                await self.push(piece)
        await self.deliver(self.flush())
        await self.deliver(self.finish())


class _Events(_Streaming):
    async def respond(self) -> None:
        """Send the state of the page, then again at each change, until the client leaves."""
        self.set_header("X-Accel-Buffering", "no")  # a proxy is to pass each event on at once
        if self.request.method == "HEAD":
            await self.send("", "text/event-stream")
            return
        self.set_header("Content-Type", "text/event-stream")
        try:
            async with aclosing(self.server.feed.messages()) as messages:
                async for message in messages:
                    await self.push(message)
        except CrowdedError:
            self.set_header("Retry-After", "10")
            await self.send("too many pages are open\n", status=503)
            return
        await self.deliver(self.finish())


def _gzip(file: File) -> Iterator[bytes]:
    packer = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_FORMAT)
    for piece in file.pieces():
        if packed := packer.compress(piece):
            yield packed
    yield packer.flush()


def routes() -> Routes:
    """The page's paths."""
    return (
        ("/", _Page),
        (EVENTS_PATH, _Events),
        *((STATIC_PATH + name, _File) for name in files()),
    )
