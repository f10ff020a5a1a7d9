# SPDX-License-Identifier: GPL-2.0-only
"""Sockets: listening on addresses, and connections within limits."""

import errno
import logging
import os
import socket
from collections.abc import Callable, Iterable, Sequence

from tornado import web
from tornado.http1connection import HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream, SSLIOStream
from tornado.netutil import add_accept_handler

from exporter.addresses import Address
from exporter.strict import ConfigError as WebConfigError
from exporter.web_config.gate import Gate

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 256
MAX_HEADER_BYTES = 16384
HEADER_SECONDS = 20.0
"""How long a request's header may take, and how long a connection may idle."""

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
            sockets += _listen(address)  # type: ignore[arg-type]
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


def urls(sockets: Sequence[socket.socket], scheme: str = "http") -> list[str]:
    """Where a browser on this machine finds each: ``http://127.0.0.1:20253``."""
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read here, not bound
    names = (listener.getsockname()[:2] for listener in sockets)
    found = (f"{scheme}://{Address(here.get(host, host), port)}" for host, port in names)
    return list(dict.fromkeys(found))


class LimitedServer(HTTPServer):
    """At most ``MAX_CONNECTIONS``: a new one takes the place of the oldest idle one."""

    def initialize(  # type: ignore[override]  # the arguments of the constructor
        self, application: web.Application, busy: set[IOStream], gate: Gate
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
        self._busy = busy
        self._gate = gate
        self._streams: dict[IOStream, None] = {}
        self._accepting: list[tuple[socket.socket, Callable[[], None]]] = []

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Accept connections, each under the web configuration that is then in force."""
        for listener in sockets:
            self._accepting.append((listener, add_accept_handler(listener, self._accept)))

    def stop(self) -> None:
        """Accept no more."""
        for listener, end in self._accepting:
            end()
            listener.close()
        self._accepting = []

    def _accept(self, connection: socket.socket, address: tuple) -> None:  # type: ignore[type-arg]  # as tornado has it
        try:
            context = self._gate.tls()
            if context is None:
                stream = IOStream(connection)
            else:
                secured = context.wrap_socket(
                    connection, server_side=True, do_handshake_on_connect=False
                )
                stream = SSLIOStream(secured, ssl_options=context)
        except (OSError, WebConfigError) as error:  # the client has left, or nobody may come
            log.debug("a connection is closed: %s", error)
            connection.close()
            return
        self.handle_stream(stream, address)

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
