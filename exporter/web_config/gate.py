# SPDX-License-Identifier: GPL-2.0-only
"""Access control: each request is checked against the web configuration in force."""

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
        """The context for a new connection; None for plain HTTP; ConfigError to refuse it."""
        try:
            return self._protection.current().tls
        except ConfigError:
            if self._protection.has_tls:
                raise
            return None  # each request then gets the refusal

    def reload(self) -> bool:
        """Read the files again, changed or not; True if they can be used."""
        return self._protection.reload()

    def headers(self) -> Mapping[str, str]:
        """Further headers of each answer; none while the files cannot be used."""
        try:
            return self._protection.current().headers
        except ConfigError:
            return {}

    @property
    def knows_users(self) -> bool:
        """True if every request needs a password, or a certificate of the client."""
        return self._protection.knows_users

    async def admit(
        self, request: HTTPServerRequest, stream: IOStream | None, peer: str = ""
    ) -> None:
        """Return if the request of this peer is allowed; HTTPError if it is not.

        ConnectionError for a connection that is closed, or was opened under another TLS
        configuration.
        """
        try:
            now = self._protection.current()
        except ConfigError as error:
            raise web.HTTPError(500, reason="The web configuration cannot be used") from error
        if stream and stream.closed():  # tornado has released its socket
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
            raise web.HTTPError(503, reason="Too many password checks are waiting") from error
        raise web.HTTPError(401)

    def close(self) -> None:
        """Stop checking passwords."""
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
    """The name in its usual form: OpenSSL prints every zero of an IPv6 address."""
    try:
        return str(ipaddress.ip_address(name)) if kind == "IP Address" else name
    except ValueError:  # an address of an impossible length
        return name
