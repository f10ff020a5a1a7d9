# SPDX-License-Identifier: GPL-2.0-only
"""HTTP: metrics, landing page, health and readiness, on sockets that stand clients of any kind."""

import asyncio
import errno
import gzip
import logging
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from string import Template

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from tornado import web
from tornado.http1connection import HTTP1Connection, HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream, StreamClosedError

from exporter.config import HEALTHY_PATH, READY_PATH, Address, Options

MAX_CONNECTIONS = 256
MAX_WAITING = 32
"""Scrapes that may wait for their turn; more are turned away."""
MAX_HEADER_BYTES = 16384
HEADER_SECONDS = 20.0
"""How long a request's header may take, and how long a connection may idle."""
WRITE_SECONDS = 20.0
"""How long a client may take to accept a response."""
GRACE_SECONDS = 5.0

_PLAIN = "text/plain; charset=utf-8"
_GZIP_LEVEL = 4
log = logging.getLogger(__name__)

_BIND_ADVICE = {
    errno.EADDRINUSE: "another program listens there. See which with `ss -ltnp`, and end it or"
    " choose another --web.listen-address",
    errno.EACCES: "ports below 1024 need root or CAP_NET_BIND_SERVICE. Choose another"
    " --web.listen-address",
    errno.EADDRNOTAVAIL: "this machine has no such address. `ip address` shows those it has;"
    " choose another --web.listen-address",
}


class BindError(Exception):
    """An address that cannot be listened on; the text names it and says what to do."""


def bind(addresses: Sequence[Address]) -> list[socket.socket]:
    """Listen on every address; BindError if one cannot be had, and then none is held."""
    sockets: list[socket.socket] = []
    for address in addresses:
        try:
            sockets += _listen(address)
        except OSError as error:  # also what a name that cannot be resolved raises
            release(sockets)
            advice = _BIND_ADVICE.get(error.errno or 0, "choose another --web.listen-address")
            known = isinstance(error, socket.gaierror) or not error.errno
            reason = error.strerror if known else os.strerror(error.errno or 0)
            raise BindError(f"cannot listen on {address}: {reason}: {advice}") from error
    return sockets


def _listen(address: Address) -> list[socket.socket]:
    """Listen on all that the host stands for; OSError if that is nothing."""
    meant = socket.getaddrinfo(
        address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    sockets: list[socket.socket] = []
    for family, *_, where in sorted(meant, key=lambda entry: entry[0]):
        # Port 0 is to be the same free port for IPv6 as for IPv4.
        port = sockets[0].getsockname()[1] if sockets else address.port
        try:
            listener = socket.create_server((where[0], port, *where[2:]), family=family)
        except OSError as error:
            # A name, and an empty host, can stand for IPv6 where it is switched off.
            if sockets and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                continue
            release(sockets)
            raise
        listener.setblocking(False)
        sockets.append(listener)
    return sockets


def release(sockets: Sequence[socket.socket]) -> None:
    """Close them; one that is closed already is no error."""
    for listener in sockets:
        listener.close()


def urls(sockets: Sequence[socket.socket]) -> list[str]:
    """Where a browser on this machine finds each: ``http://127.0.0.1:20253``."""
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read here, not bound
    names = (listener.getsockname()[:2] for listener in sockets)
    found = (f"http://{Address(here.get(host, host), port)}" for host, port in names)
    return list(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class PageData:
    """What the landing page shows."""

    version: str
    mode: str
    attachments: Sequence[Mapping[str, str]]
    """Rows with ``function``, ``layer``, ``mode``, ``state``, ``why``; see ``probes.loader``."""
    not_traced: Sequence[str]
    """Lines of the form ``what: why``."""


@dataclass(frozen=True, slots=True)
class _Exposition:
    """Metrics as they go over the wire."""

    body: bytes
    content_type: str
    encoding: str


class _CrowdedError(Exception):
    """Too many scrapes wait already."""


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
        self._http: _LimitedServer | None = None
        self._first: asyncio.Task[None] | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="scrape")
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._busy: set[IOStream] = set()

    async def start(self) -> None:
        """Accept connections, and collect once so that readiness does not wait for a scrape."""
        self._http = _LimitedServer(_application(self), self._busy)
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
    ) -> _Exposition | None:
        """Collect in a turn of its own; None if the client has gone while it waited."""
        if self._waiting >= MAX_WAITING:
            raise _CrowdedError
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


def _expose(registry: CollectorRegistry, accept: str, accept_encoding: str) -> _Exposition:
    """Collect and encode; runs in the pool's thread."""
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # a version in the header that is none
        encode, content_type = choose_encoder("")
    body = encode(registry)
    if not _accepts_gzip(accept_encoding):
        return _Exposition(body, content_type, "")
    return _Exposition(gzip.compress(body, _GZIP_LEVEL), content_type, "gzip")


def _accepts_gzip(header: str) -> bool:
    """Tell if an Accept-Encoding header names gzip, and not with a weight of 0."""
    for entry in header.lower().split(","):
        name, _, weight = entry.replace(" ", "").partition(";")
        if name == "gzip":
            return not re.fullmatch(r"q=0(\.0*)?", weight)
    return False


class _LimitedServer(HTTPServer):
    """At most ``MAX_CONNECTIONS``: a new one takes the place of the oldest idle one."""

    def initialize(self, application: web.Application, busy: set[IOStream]) -> None:  # type: ignore[override]  # the arguments of the constructor
        """Set the limits of every connection."""
        super().initialize(
            application,
            max_header_size=MAX_HEADER_BYTES,
            max_buffer_size=2 * MAX_HEADER_BYTES,
            max_body_size=0,
            idle_connection_timeout=HEADER_SECONDS,
            body_timeout=HEADER_SECONDS,
        )
        self._busy = busy
        self._streams: dict[IOStream, None] = {}

    def handle_stream(self, stream: IOStream, address: tuple) -> None:  # type: ignore[type-arg]  # as tornado has it
        """Make room and serve, or close where every connection is busy."""
        if len(self._streams) >= MAX_CONNECTIONS:
            idle = next((old for old in self._streams if old not in self._busy), stream)
            idle.close()
            self._streams.pop(idle, None)
            if idle is stream:
                return
        self._streams[stream] = None
        super().handle_stream(stream, address)

    def on_close(self, server_conn: object) -> None:
        """Forget a connection."""
        super().on_close(server_conn)
        if isinstance(server_conn, HTTP1ServerConnection):
            self._streams.pop(server_conn.stream, None)


class _Handler(web.RequestHandler):
    """Answers GET and HEAD alike; subclasses implement ``respond()``."""

    SUPPORTED_METHODS = ("GET", "HEAD")

    def initialize(self, server: Server) -> None:
        """Take what the route table gives."""
        self.server = server

    def set_default_headers(self) -> None:
        """No banner, no guessing of types, nothing kept by caches."""
        self.clear_header("Server")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")

    def prepare(self) -> None:
        """Refuse a body: no page here takes one."""
        if self.request.body:
            raise web.HTTPError(413)

    def compute_etag(self) -> None:
        """None: the pages are different every time."""

    def write_error(self, status_code: int, **_: object) -> None:
        """Answer with a line of text."""
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
        """Send, and close on a client that does not take it in time."""
        stream = self.stream
        self.set_status(status)
        self.set_header("Content-Type", content_type)
        sent = self.finish(body)
        deadline = time.monotonic() + WRITE_SECONDS
        while stream and not stream.closed() and not sent.done():
            if time.monotonic() > deadline:
                stream.close()
            # Not one long wait: tornado does not always resolve `sent` when the client leaves.
            await asyncio.wait([sent], timeout=0.2)


class _Metrics(_Handler):
    async def respond(self) -> None:
        """Send the exposition in the form that the client accepts."""
        header, stream = self.request.headers.get, self.stream
        try:
            exposition = await self.server.scrape(
                header("Accept", ""),
                header("Accept-Encoding", ""),
                lambda: stream is None or stream.closed(),
            )
        except _CrowdedError:
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


class _Healthy(_Handler):
    async def respond(self) -> None:
        """Send 200: who answers is alive."""
        await self.send("fdscope is healthy\n")


class _Ready(_Handler):
    async def respond(self) -> None:
        """Send 200, or 503 with the reason."""
        reason = await self.server.not_ready()
        if reason is None:
            await self.send("fdscope is ready\n")
        else:
            await self.send(f"fdscope is not ready: {reason}\n", status=503)


class _Landing(_Handler):
    async def respond(self) -> None:
        """Send the landing page."""
        policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
        self.set_header("Content-Security-Policy", policy)
        page = render(self.server.page(), self.server.options.telemetry_path)
        await self.send(page, "text/html; charset=utf-8")


def _application(server: Server) -> web.Application:
    arguments = {"server": server}
    routes = (
        ("/", _Landing),
        (server.options.telemetry_path, _Metrics),
        (HEALTHY_PATH, _Healthy),
        (READY_PATH, _Ready),
    )
    return web.Application(
        [(re.escape(path), handler, arguments) for path, handler in routes],
        default_handler_class=_Handler,
        default_handler_args=arguments,
        log_function=_log_request,
    )


def _log_request(handler: web.RequestHandler) -> None:
    request = handler.request
    log.debug(
        "%s %r from %s: %d", request.method, request.uri, request.remote_ip, handler.get_status()
    )


def render(data: PageData, telemetry_path: str) -> str:
    """Write the landing page: HTML that needs nothing else."""
    return _PAGE.substitute(
        version=escape(data.version),
        mode=escape(data.mode),
        attached=sum(row["state"] == "attached" for row in data.attachments),
        hooks=len(data.attachments),
        metrics=escape(telemetry_path),
        healthy=HEALTHY_PATH,
        ready=READY_PATH,
        rows="".join(_row(row) for row in data.attachments),
        blind="".join(_item(line) for line in data.not_traced),
    )


def _row(row: Mapping[str, str]) -> str:
    cells = {name: escape(row.get(name, "")) for name in ("function", "layer", "mode", "why")}
    state = escape(row.get("state", ""))
    return (
        f"<tr><td><code>{cells['function']}</code><td>{cells['layer']}<td>{cells['mode']}"
        f'<td><b class="{state}">{state}</b><td>{cells["why"]}'
    )


def _item(line: str) -> str:
    what, _, why = line.partition(": ")
    return f"<li><b>{escape(what)}</b><br>{escape(why)}"


_PAGE = Template("""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>fdscope</title>
<style>
:root { color-scheme: light dark; --ink: #1d2433; --soft: #5b667c; --page: #f5f7fa;
  --card: #fff; --line: #dfe4ec; --link: #0b5cad; --good: #14713d; --bad: #b3261e }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8f0; --soft: #9aa6bd;
  --page: #12161e; --card: #1a202b; --line: #2c3443; --link: #7db8f5; --good: #62c98c;
  --bad: #f2897f } }
* { box-sizing: border-box }
body { margin: 0; padding: 2rem 1rem 3rem; background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
main { max-width: 60rem; margin: auto }
h1 { margin: 0; font-size: 2rem } h2 { margin: 0 0 .75rem; font-size: 1.1rem }
p { margin: .5rem 0 1.25rem; max-width: 44rem } a { color: var(--link) }
section { margin-top: 1rem; padding: 1.25rem; background: var(--card);
  border: 1px solid var(--line); border-radius: .75rem }
nav { display: flex; flex-wrap: wrap; gap: .75rem }
nav a { padding: .6rem 1.1rem; border: 1px solid var(--line); border-radius: .5rem;
  background: var(--card); text-decoration: none; font-weight: 600 }
nav a:hover { border-color: var(--link) }
.soft, td, li { color: var(--soft); font-size: .9rem } li b, code { color: var(--ink) }
.wide { overflow-x: auto } table { width: 100%; border-collapse: collapse }
th, td { padding: .4rem .75rem .4rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line) }
th { font-size: .8rem; color: var(--soft) } td { overflow-wrap: normal }
.attached { color: var(--good) } .failed { color: var(--bad) }
ul { margin: 0; padding-left: 1.1rem } li { margin-bottom: .6rem }
</style>
<main>
<h1>fdscope</h1>
<p>Everything a program reads or writes goes through a file descriptor, and a socket is one of
them. fdscope counts this I/O in the kernel, by process and type of descriptor, for
Prometheus to collect.</p>
<nav><a href="$metrics">Metrics</a><a href="$healthy">Healthy?</a><a href="$ready">Ready?</a></nav>
<p class="soft">Version $version &middot; attach mode $mode &middot; $attached of $hooks hooks
attached</p>
<section><h2>Hooks in the kernel</h2>
<div class="wide"><table>
<thead><tr><th>Function<th>Layer<th>Mode<th>State<th>Reason</thead>
<tbody>$rows</tbody></table></div></section>
<section><h2>Not traced</h2><ul>$blind</ul></section>
</main>
</html>
""")
