# SPDX-License-Identifier: GPL-2.0-only
"""HTTP connections within limits: clients, however many, cannot keep a scrape out.

If there is no room for a new connection, the one that loses least is closed: first of a client that
does not read its answer, then of one that sends no request, then of one that is being served
anything but a scrape. A client that has sent nothing yet costs a socket and no more.
"""

import asyncio
import errno
import logging
import os
import resource
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Any

from tornado import web
from tornado.http1connection import HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream, SSLIOStream, StreamClosedError, UnsatisfiableReadError

from fdscope.exporter.http.peers import Peers
from fdscope.exporter.settings.strict import ConfigError
from fdscope.exporter.web_config.gate import Gate

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 256
MAX_PER_PEER = 64
"""Most connections of one address, or of one user of this machine."""
SURE_PER_PEER = 4
"""Connections that every peer can have, however many the others have."""
MAX_SLOW_SCRAPES = 16
"""Most answers of metrics that are being sent at a time; each can hold its own body."""
MAX_HEADER_BYTES = 16384
HEADER_SECONDS = 20.0
"""Limit on the time for a request's header, and on the idle time of a connection."""
STALL_SECONDS = 1.0
"""A client that reads nothing of its answer, or reads metrics, for so long is closed first."""
OPENED_AT_ONCE, OPENED_PER_SECOND = 512.0, 100.0
"""Connections of one peer; what comes faster is closed at once."""
REQUESTS_AT_ONCE, REQUESTS_PER_SECOND = 6.0, 10.0
"""Requests of one connection; what comes faster waits."""

_ACCEPTS_AT_ONCE = 128
"""Far cheaper than serving: the kernel drops what comes while its queue is full."""
_SERVED_AT_ONCE = 4
_MOST_BUCKETS = 4096
"""Most peers whose rate of new connections is remembered."""
_RESERVED_FILES = 64
"""Descriptors that stay free for collections."""
_LEAST_CONNECTIONS = 8
_OUT_OF_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_SEND_BUFFER_BYTES = 1 << 17
"""The kernel's buffer for what a client does not read."""
_PAUSE_SECONDS = 0.2
_LINGER_SECONDS, _LINGER_BYTES, _MAX_LINGERING = 1.0, 1 << 18, 8
_OWN_FILES = Path("/proc/self/fd")


_ExceptionInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


class Standing(IntEnum):
    """What a client loses with its connection: the least is closed first."""

    STALLED = 0
    IDLE = 1
    OTHER = 2
    NEW = 3
    SCRAPE = 4
    """Closed for a new connection only if its peer has many and the new one's peer has few."""


@dataclass(slots=True)
class Bucket:
    """A token bucket of ``size`` that gains so many tokens per second."""

    size: float
    per_second: float
    left: float
    when: float

    def take(self, now: float) -> float:
        """Take a token; return how many seconds too early that was, or 0."""
        self.left = min(self.size, self.left + (now - self.when) * self.per_second) - 1
        self.when = now
        return max(0.0, -self.left / self.per_second)


@dataclass(slots=True, eq=False)
class Connection:
    """An open connection; times are those of the clock of ``Connections``."""

    peer: str
    close: Callable[[], None]
    since: float
    """Time at which it was opened, or its last request began or ended."""
    has_asked: bool = False
    request: Standing | None = None
    """SCRAPE or OTHER during a request."""
    answering_since: float | None = None
    """Time at which its answer began."""
    blocked_since: float | None = None
    """Time at which the client last read a part of its answer."""
    requests: "Bucket | None" = None
    """Set by its first request."""

    def standing(self, now: float) -> Standing:
        """What its client would lose."""
        is_scrape = self.request is Standing.SCRAPE
        slow_since = self.answering_since if is_scrape else self.blocked_since
        if slow_since is not None and now - slow_since >= STALL_SECONDS:
            return Standing.STALLED
        if self.request is not None:
            return self.request
        is_new = not self.has_asked and now - self.since < STALL_SECONDS
        return Standing.NEW if is_new else Standing.IDLE


class Connections:
    """All connections of a server. Used in the event loop only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._all: dict[Connection, None] = {}
        self._by_stream: dict[IOStream, Connection] = {}
        self._per_peer: dict[str, dict[Connection, None]] = {}
        self._opened: dict[str, Bucket] = {}
        self._most = _room()

    def __len__(self) -> int:
        return len(self._all)

    @property
    def answering(self) -> int:
        """Number of answers that are being sent."""
        return sum(each.answering_since is not None for each in list(self._all))

    @property
    def are_busy(self) -> bool:
        """True while a request is being served."""
        return any(connection.request is not None for connection in self._all)

    def admit(self, peer: str, close: Callable[[], None]) -> Connection | None:
        """Accept a new connection, and close another if there is no room; None if it is refused."""
        if self._is_too_fast(peer):
            return None
        mine = self._per_peer.get(peer, {})
        if len(mine) >= MAX_PER_PEER:
            rivals = list(mine)
        elif len(self._all) >= min(self._most, MAX_CONNECTIONS):
            rivals = list(self._all)
        else:
            rivals = []
        if rivals and not self._evict(rivals) and not self._evict_of_crowd(len(mine)):
            return None
        connection = Connection(peer, close, self._clock())
        self._all[connection] = None
        self._per_peer.setdefault(peer, {})[connection] = None
        return connection

    def _is_too_fast(self, peer: str) -> bool:
        now = self._clock()
        if len(self._opened) > _MOST_BUCKETS:
            self._opened.clear()
        bucket = self._opened.get(peer)
        if bucket is None:
            bucket = Bucket(OPENED_AT_ONCE, OPENED_PER_SECOND, OPENED_AT_ONCE, now)
            self._opened[peer] = bucket
        if not bucket.take(now):
            return False
        bucket.left += 1  # a refused connection takes no token
        return True

    def evict_one(self) -> bool:
        """Close the connection that loses least; True if there was one."""
        return self._evict(list(self._all))

    def _evict(self, rivals: list[Connection]) -> bool:
        now = self._clock()
        worst = min(rivals, key=lambda rival: (rival.standing(now), rival.since), default=None)
        if worst is None or worst.standing(now) is Standing.SCRAPE:
            return False
        self.forget(worst)
        worst.close()
        return True

    def _evict_of_crowd(self, mine: int) -> bool:
        """All are being served scrapes: close one of the peer that has most."""
        crowd = max(self._per_peer.values(), key=len, default={})
        if mine >= SURE_PER_PEER or len(crowd) <= SURE_PER_PEER:
            return False
        oldest = next(iter(crowd))
        self.forget(oldest)
        oldest.close()
        return True

    def attach(self, connection: Connection, stream: IOStream) -> None:
        """Note the stream of a connection that has sent its first bytes."""
        connection.close = stream.close
        self._by_stream[stream] = connection

    def forget(self, connection: Connection) -> None:
        """Forget a closed connection."""
        if connection in self._all:
            del self._all[connection]
            mine = self._per_peer[connection.peer]
            del mine[connection]
            if not mine:
                del self._per_peer[connection.peer]

    def forget_stream(self, stream: IOStream) -> None:
        """Forget the connection of a closed stream."""
        if connection := self._by_stream.pop(stream, None):
            self.forget(connection)

    def close_new(self) -> None:
        """Close all connections that have sent nothing."""
        attached = set(self._by_stream.values())
        for connection in [each for each in self._all if each not in attached]:
            self.forget(connection)
            connection.close()

    def peer(self, stream: IOStream | None) -> str:
        """The peer of a stream; see ``exporter.http.peers``."""
        connection = self._by_stream.get(stream) if stream else None
        return connection.peer if connection else ""

    def pause(self, stream: IOStream | None) -> float:
        """Seconds that the next request of a connection must wait."""
        connection = self._by_stream.get(stream) if stream else None
        if connection is None:
            return 0.0
        now = self._clock()
        if connection.requests is None:
            connection.requests = Bucket(
                REQUESTS_AT_ONCE, REQUESTS_PER_SECOND, REQUESTS_AT_ONCE, now
            )
        return connection.requests.take(now)

    @contextmanager
    def serving(self, stream: IOStream | None, is_scrape: bool) -> Iterator[None]:
        """Mark a connection as serving a request; StreamClosedError if it is closed."""
        connection = self._by_stream.get(stream) if stream else None
        if connection is None:
            raise StreamClosedError
        connection.request = Standing.SCRAPE if is_scrape else Standing.OTHER
        connection.since, connection.has_asked = self._clock(), True
        try:
            yield
        finally:
            connection.request = connection.answering_since = connection.blocked_since = None
            connection.since = self._clock()

    @contextmanager
    def sending(self, stream: IOStream | None) -> Iterator[None]:
        """Mark a connection as waiting for its client to read a piece of the answer."""
        connection = self._by_stream.get(stream) if stream else None
        if connection is None:
            raise StreamClosedError
        now = self._clock()
        if connection.answering_since is None and connection.request is Standing.SCRAPE:
            self._bound_slow_scrapes()
        connection.answering_since = connection.answering_since or now
        connection.blocked_since = now
        try:
            yield
        finally:
            connection.blocked_since = None

    def _bound_slow_scrapes(self) -> None:
        slow = [
            connection
            for connection in self._all
            if connection.request is Standing.SCRAPE and connection.answering_since is not None
        ]
        if len(slow) >= MAX_SLOW_SCRAPES:
            slowest = min(slow, key=lambda connection: connection.answering_since or 0.0)
            self.forget(slowest)
            slowest.close()


def _room() -> int:
    """Number of connections that the limit on descriptors allows."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    try:
        used = len(list(_OWN_FILES.iterdir()))
    except OSError:
        used = limit // 2
    return max(_LEAST_CONNECTIONS, limit - used - _RESERVED_FILES)


class _Refusing(IOStream):
    """A stream that answers 431 or 414 before it closes on a header that is too long."""

    lingering = 0

    def read_until_regex(self, regex: bytes, max_bytes: int | None = None) -> Awaitable[bytes]:
        """Read a header; nothing from a closed connection, even if requests are buffered."""
        if self.closed():
            raise StreamClosedError
        return super().read_until_regex(regex, max_bytes)

    def close(
        self,
        exc_info: "bool | BaseException | _ExceptionInfo | None" = False,
    ) -> None:
        """Send the answer, then close."""
        if isinstance(exc_info, UnsatisfiableReadError) and not self.closed():
            self._refuse()
        super().close(exc_info)

    def _refuse(self) -> None:
        start = bytes(getattr(self, "_read_buffer", b"")[:MAX_HEADER_BYTES])
        line = b"431 Request Header Fields Too Large" if b"\n" in start else b"414 URI Too Long"
        answer = (
            b"HTTP/1.1 %b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"
            b"Connection: close\r\n\r\n%b\n" % (line, len(line) + 1, line)
        )
        try:
            self.socket.send(answer)
            if _Refusing.lingering < _MAX_LINGERING:
                _linger(socket.socket(fileno=os.dup(self.socket.fileno())))
        except (OSError, ValueError) as error:
            log.debug("the answer to a header that is too long was not sent: %s", error)


class _RefusingTls(_Refusing, SSLIOStream):
    """The same over TLS."""


_tasks: set[asyncio.Task[None]] = set()


def _linger(connection: socket.socket) -> None:
    """Read what the client still sends: closing before that would discard the answer."""
    connection.setblocking(False)
    _Refusing.lingering += 1
    task = asyncio.ensure_future(_drain(connection))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def _drain(connection: socket.socket) -> None:
    loop, left = asyncio.get_running_loop(), _LINGER_BYTES
    try:
        connection.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(_LINGER_SECONDS):
            while left > 0 and (read := await loop.sock_recv(connection, 65536)):
                left -= len(read)
    except OSError as error:  # a TimeoutError is one
        log.debug("lingering on a refused client ended: %s", error)
    finally:
        _Refusing.lingering -= 1
        connection.close()


@dataclass(slots=True, eq=False)
class _Guest:
    """A connection before it is a stream."""

    connection: socket.socket
    address: Any
    entry: Connection | None = None
    timer: asyncio.TimerHandle | None = None
    """The timeout, while its client has sent nothing."""

    @property
    def peer(self) -> str:
        """The peer in whose queue it waits."""
        return self.entry.peer if self.entry else ""

    def stop_waiting(self) -> None:
        """Stop waiting for its first bytes."""
        if self.timer:
            self.timer.cancel()
            self.timer = None
            asyncio.get_running_loop().remove_reader(self.connection)


class LimitedServer(HTTPServer):
    """HTTP on listening sockets; a connection keeps the configuration in force when it began."""

    def initialize(  # type: ignore[override]  # the arguments of the constructor
        self, application: web.Application, connections: Connections, gate: Gate
    ) -> None:
        """Set the limits of every connection."""
        super().initialize(
            application,
            max_header_size=MAX_HEADER_BYTES,
            max_buffer_size=2 * MAX_HEADER_BYTES,
            max_body_size=0,
            idle_connection_timeout=HEADER_SECONDS,
            body_timeout=HEADER_SECONDS,
        )
        self._table = connections
        self._gate = gate
        self._peers = Peers()
        self._listeners: list[socket.socket] = []
        self._paused: dict[socket.socket, asyncio.TimerHandle] = {}
        self._lines: dict[str, dict[_Guest, None]] = {}
        """Connections that have sent something and wait for their turn, by peer."""
        self._is_serving = False

    @property
    def paused(self) -> list[socket.socket]:
        """Listeners that wait for free descriptors."""
        return list(self._paused)

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Accept connections on these non-blocking sockets; the caller closes them."""
        for listener in sockets:
            self._listeners.append(listener)
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def stop(self) -> None:
        """Accept no more."""
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener)
        for timer in self._paused.values():
            timer.cancel()
        self._listeners, self._paused = [], {}
        for task in _tasks:
            task.cancel()
        self._table.close_new()
        self._peers.close()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_ACCEPTS_AT_ONCE):
            try:
                connection, address = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                # accept(2): the other errors belong to a connection that is gone already.
                if error.errno in _OUT_OF_ROOM:
                    self._pause(listener, error)
                    return
                continue
            self._admit(connection, address)

    def _pause(self, listener: socket.socket, error: OSError) -> None:
        """Stop accepting for a moment: the listener stays readable until there is room."""
        log.warning("new connections wait: %s", error.strerror)
        self._table.evict_one()
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener)
        self._paused[listener] = loop.call_later(_PAUSE_SECONDS, self._resume, listener)

    def _resume(self, listener: socket.socket) -> None:
        del self._paused[listener]
        asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _admit(self, connection: socket.socket, address: Any) -> None:
        """Keep a new connection until its client sends something."""
        peer = self._peers.name(connection, address)
        guest = _Guest(connection, address)
        entry = self._table.admit(peer, lambda: self._send_away(guest))
        if entry is None:
            connection.close()
            return
        guest.entry = entry
        connection.setblocking(False)
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        try:
            connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            loop = asyncio.get_running_loop()
            loop.add_reader(connection, self._line_up, guest)
            guest.timer = loop.call_later(HEADER_SECONDS, self._expire, guest)
        except OSError:
            self._expire(guest)
        else:
            self._line_up(guest)

    def _expire(self, guest: "_Guest") -> None:
        self._send_away(guest)
        if guest.entry:
            self._table.forget(guest.entry)

    def _send_away(self, guest: "_Guest") -> None:
        guest.stop_waiting()
        line = self._lines.get(guest.peer)
        if line:
            line.pop(guest, None)
        guest.connection.close()

    def _line_up(self, guest: "_Guest") -> None:
        """Queue a connection that has sent something, until it is the turn of its peer."""
        guest.stop_waiting()
        self._lines.setdefault(guest.peer, {})[guest] = None
        if not self._is_serving:
            self._is_serving = True
            asyncio.get_running_loop().call_soon(self._serve_some)

    def _serve_some(self) -> None:
        """Serve one connection of each peer in turn, and only some: other events wait meanwhile."""
        for _ in range(_SERVED_AT_ONCE):
            if not self._lines:
                break
            peer = next(iter(self._lines))
            line = self._lines.pop(peer)
            if line:
                guest = next(iter(line))
                del line[guest]
                self._serve(guest)
            if line:
                self._lines[peer] = line
        self._is_serving = bool(self._lines)
        if self._is_serving:
            asyncio.get_running_loop().call_soon(self._serve_some)

    def _serve(self, guest: "_Guest") -> None:
        entry, connection = guest.entry, guest.connection
        if entry is None:
            return
        try:
            context = self._gate.tls()
            if context is None:
                stream: IOStream = _Refusing(connection)
            else:
                secured = context.wrap_socket(
                    connection, server_side=True, do_handshake_on_connect=False
                )
                stream = _RefusingTls(secured, ssl_options=context)
        except (OSError, ValueError, ConfigError) as error:  # the client left, or all are refused
            log.debug("a connection was closed: %s", error)
            self._table.forget(entry)
            connection.close()
            return
        self._table.attach(entry, stream)
        self.handle_stream(stream, guest.address)

    def on_close(self, server_conn: object) -> None:
        """Forget a connection."""
        super().on_close(server_conn)
        if isinstance(server_conn, HTTP1ServerConnection):
            self._table.forget_stream(server_conn.stream)
