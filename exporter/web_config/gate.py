# SPDX-License-Identifier: GPL-2.0-only
"""Who may ask: each request meets the web configuration in force before any page."""

import ipaddress
import ssl
from collections.abc import Iterable, Mapping
from typing import Any

from tornado import web
from tornado.httputil import HTTPServerRequest
from tornado.iostream import IOStream, SSLIOStream

from fdscope.exporter.settings.strict import ConfigError
from fdscope.exporter.web_config.passwords import BusyError, Passwords
from fdscope.exporter.web_config.protection import InForce, Protection

CHALLENGE = 'Basic realm="fdscope", charset="UTF-8"'


class Gate:
    """Decides on connections and requests of one server."""

    def __init__(self, protection: Protection) -> None:
        self._protection = protection
        self._passwords = Passwords()

    def tls(self) -> ssl.SSLContext | None:
        """For a new connection: its context, None for plain HTTP; ConfigError to refuse it."""
        try:
            return self._protection.current().tls
        except ConfigError:
            if self._protection.has_tls:
                raise
            return None  # each request is then told that it is refused

    def reload(self) -> bool:
        """Read the files again, changed or not; whether they can be used."""
        return self._protection.reload()

    def headers(self) -> Mapping[str, str]:
        """What an answer carries besides its own headers; nothing while the files are wrong."""
        try:
            return self._protection.current().headers
        except ConfigError:
            return {}

    async def admit(
        self, request: HTTPServerRequest, stream: IOStream | None, peer: str = ""
    ) -> None:
        """Return if the request of this peer may pass; HTTPError if it may not.

        ConnectionError for a connection that is closed, or was made under another configuration
        of TLS.
        """
        try:
            now = self._protection.current()
        except ConfigError as error:
            raise web.HTTPError(500, reason="The web configuration cannot be used") from error
        if stream and stream.closed():  # tornado has let go of its socket
            raise ConnectionError("the client has left")
        _refuse_outdated(now, stream)
        if now.bucket and not now.bucket.admits():
            raise web.HTTPError(429)
        if not _has_allowed_name(now, stream):
            raise web.HTTPError(403, reason="The client certificate has no allowed name")
        if now.config.users:
            await self._authenticate(now, request, peer)

    async def _authenticate(self, now: InForce, request: HTTPServerRequest, peer: str) -> None:
        authorization = request.headers.get("Authorization", "")
        try:
            if await self._passwords.accepts(now.config.users, authorization, peer):
                return
        except BusyError as error:
            raise web.HTTPError(503, reason="Too many passwords wait for their check") from error
        raise web.HTTPError(401)

    def close(self) -> None:
        """Check nothing more."""
        self._passwords.close()


def _refuse_outdated(now: InForce, stream: IOStream | None) -> None:
    made_with = stream.socket.context if isinstance(stream, SSLIOStream) else None
    if made_with is not now.tls:
        raise ConnectionError("made under another web configuration")


def _has_allowed_name(now: InForce, stream: IOStream | None) -> bool:
    allowed = now.config.tls.client_names if now.config.tls else frozenset()
    if not allowed:
        return True
    certificate: Any = stream.socket.getpeercert() if isinstance(stream, SSLIOStream) else None
    names: Iterable[tuple[str, str]] = (certificate or {}).get("subjectAltName", ())
    return any(_plain(kind, name) in allowed for kind, name in names)


def _plain(kind: str, name: str) -> str:
    """The name as people write it: OpenSSL prints every zero of an IPv6 address."""
    try:
        return str(ipaddress.ip_address(name)) if kind == "IP Address" else name
    except ValueError:  # an address of a length that there is not
        return name
