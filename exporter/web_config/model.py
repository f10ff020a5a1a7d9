# SPDX-License-Identifier: GPL-2.0-only
"""What a web configuration asks for, checked as far as that needs no other file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from exporter.web_config.sections import Section, WebConfigError, read
from exporter.web_config.tls import TlsSettings, tls_settings

_HASH = re.compile(r"\$2[abxy]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_HEADERS: Mapping[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A bucket of ``burst`` requests that gains one each ``interval_seconds``."""

    interval_seconds: float
    burst: int


@dataclass(frozen=True, slots=True)
class WebConfig:
    """A whole file."""

    tls: TlsSettings | None
    headers: Mapping[str, str]
    users: Mapping[str, bytes]
    """Name to bcrypt hash; empty if no password is asked for."""
    rate_limit: RateLimit | None


def parse(path: Path) -> WebConfig:
    """Read the file; WebConfigError says what of it cannot be used."""
    file = read(path)
    tls = file.section("tls_server_config")
    config = WebConfig(
        tls_settings(tls, path.parent) if tls else None,
        _headers(file.section("http_server_config")),
        _users(file.section("basic_auth_users")),
        _rate_limit(file.section("rate_limit")),
    )
    file.end()
    return config


def _headers(section: Section | None) -> dict[str, str]:
    if section is None:
        return {}
    section.take("http2", bool, True)  # served or not, HTTP/1.1 is always offered
    headers = section.section("headers")
    section.end()
    found: dict[str, str] = {}
    if headers:
        for name, allowed in _HEADERS.items():
            value = headers.take(name, str, "")
            if any(not character.isprintable() for character in value):
                raise WebConfigError(f"{headers.where}: {name} must be one line of text")
            if value and allowed and value not in allowed:
                words = " or ".join(allowed)
                raise WebConfigError(f"{headers.where}: {name} must be {words}, not {value!r}")
            if value:
                found[name] = value
        headers.end()
    return found


def _users(section: Section | None) -> dict[str, bytes]:
    if section is None:
        return {}
    users: dict[str, bytes] = {}
    for name, value in section.rest().items():
        if not isinstance(name, str) or not name or ":" in name:
            raise WebConfigError(
                f"{section.where}: {name!r} is no user name: it must be a string without a colon"
                " (numbers in quotes)"
            )
        if not isinstance(value, str) or not _HASH.fullmatch(value):
            raise WebConfigError(
                f"{section.where}: the password of {name} is not a bcrypt hash ($2b$ and so on):"
                " make one with `htpasswd -nBC 10 NAME`"
            )
        users[name] = value.encode()
    if not users:
        raise WebConfigError(f"{section.where} names nobody: add a user, or leave it out")
    return users


def _rate_limit(section: Section | None) -> RateLimit | None:
    if section is None:
        return None
    interval, burst = section.take("interval", str, "0s"), section.take("burst", int, 0)
    section.end()
    match = _DURATION.fullmatch(interval)
    if interval != "0" and not match:
        raise WebConfigError(f"{section.where}: interval must be a time such as 500ms or 1s")
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if seconds and burst < 1:
        raise WebConfigError(f"{section.where}: burst must be 1 or more, or nothing gets through")
    return RateLimit(seconds, burst) if seconds else None
