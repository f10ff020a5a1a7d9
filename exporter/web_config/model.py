# SPDX-License-Identifier: GPL-2.0-only
"""The web configuration, checked as far as that needs no other file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fdscope.exporter.settings import strict
from fdscope.exporter.settings.strict import ConfigError
from fdscope.exporter.web_config.sections import Section, read
from fdscope.exporter.web_config.tls import TlsSettings, tls_settings

_HASH = re.compile(r"\$2[abxy]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_MAX_COST = 18
"""Each step doubles the time of a check: some 20 s with this one."""
_HEADERS: Mapping[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
_PART = r"([0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(ns|us|µs|μs|ms|s|m|h)"
_DURATION = re.compile(rf"\+?(?:{_PART}){{1,8}}")
_MAX_BURST = 1_000_000_000
_SECONDS = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0,
}  # fmt: skip


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
    """Read the file; ConfigError if it cannot be used."""
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
    section.flag("http2", True)  # ignored: HTTP/1.1 is always offered
    headers = section.section("headers")
    section.end()
    found: dict[str, str] = {}
    if headers:
        for name, allowed in _HEADERS.items():
            value = headers.text(name, "")
            if not (value.isascii() and value.isprintable()):
                raise ConfigError(f"{headers.where}: {name} must be one line of ASCII text")
            if value and allowed and value not in allowed:
                words = " or ".join(allowed)
                raise ConfigError(
                    f"{headers.where}: {name} must be {words}, not {strict.shown(value)}"
                )
            if value:
                found[name] = value
        headers.end()
    return found


def _users(section: Section | None) -> dict[str, bytes]:
    if section is None:
        return {}
    users: dict[str, bytes] = {}
    for name, value in section.rest().items():
        try:
            strict.plain(name).encode()
        except ValueError:
            name = ""
        if not name or ":" in name:
            raise ConfigError(
                f"{section.where}: a user name must be text without a colon and without control"
                " characters"
            )
        match = _HASH.fullmatch(value or "")
        if not match:
            raise ConfigError(
                f"{section.where}: the password of {strict.shown(name)} is not a bcrypt hash ($2b$"
                " and so on): make one with `htpasswd -nBC 10 NAME`"
            )
        if int(match[1]) > _MAX_COST:
            raise ConfigError(
                f"{section.where}: the bcrypt cost of {strict.shown(name)} is above {_MAX_COST}:"
                " every check would take minutes. Make one with `htpasswd -nBC 10 NAME`"
            )
        users[name] = match[0].encode()
    if not users:
        raise ConfigError(f"{section.where} names nobody: add a user, or leave it out")
    return users


def _rate_limit(section: Section | None) -> RateLimit | None:
    if section is None:
        return None
    interval, burst = section.text("interval", "0"), section.number("burst", 0)
    section.end()
    seconds = _seconds(interval)
    if seconds is None:
        raise ConfigError(
            f"{section.where}: interval must be a time with its unit, such as 500ms or 1h30m, or 0"
        )
    if seconds and burst < 1:
        raise ConfigError(f"{section.where}: burst must be 1 or more, or nothing gets through")
    return RateLimit(seconds, min(burst, _MAX_BURST)) if seconds else None


def _seconds(text: str) -> float | None:
    """A duration as Go writes it; None if it is none."""
    if text == "0":
        return 0.0
    if not _DURATION.fullmatch(text):
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in re.findall(_PART, text))
