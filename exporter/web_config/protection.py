# SPDX-License-Identifier: GPL-2.0-only
"""The web configuration in force: read at start, and again when its files change."""

import logging
import os
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fdscope.exporter.settings import strict
from fdscope.exporter.settings.strict import ConfigError
from fdscope.exporter.web_config.context import context
from fdscope.exporter.web_config.model import RateLimit, WebConfig, parse
from fdscope.exporter.web_config.tls import TlsSettings

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
"""Seconds after which unusable files are tried again, changed or not."""
_LARGEST_SHARE = 0.05
"""Share of the time that these tries may take: nothing else is served meanwhile."""

_Stamps = tuple[tuple[int, ...] | None, ...]


@dataclass(frozen=True, slots=True)
class InForce:
    """A configuration and its context and bucket; replaced after each change."""

    config: WebConfig
    tls: ssl.SSLContext | None
    bucket: "Bucket | None"

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of every answer."""
        return self.config.headers


@dataclass(slots=True)
class Bucket:
    """The token bucket of a rate limit."""

    limit: RateLimit
    left: float = field(init=False)
    when: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.left = self.limit.burst

    def admits(self) -> bool:
        """Take a token; False if there is none."""
        now = time.monotonic()
        gained = (now - self.when) / self.limit.interval_seconds
        self.left, self.when = min(self.limit.burst, self.left + gained), now
        if self.left < 1:
            return False
        self.left -= 1
        return True


OPEN = InForce(WebConfig(None, {}, {}, None), None, None)
"""Without a file: plain HTTP for everybody."""


class Protection:
    """Follows the file of ``--web.config.file``; ConfigError if it cannot be used at start."""

    def __init__(self, path: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._now = OPEN
        self._why: ConfigError | None = None
        self._retry_at = clock()
        self._files: list[Path] = []
        self._stamps: _Stamps = ()
        if path:
            self._read(path)
            if self._why:
                raise self._why

    @property
    def has_tls(self) -> bool:
        """True if the last usable configuration had TLS."""
        return self._now.tls is not None

    @property
    def knows_users(self) -> bool:
        """True if every request needs a password, or a certificate of the client."""
        try:
            now = self.current()
        except ConfigError:
            return False
        asks_for_certificate = now.tls is not None and now.tls.verify_mode is ssl.CERT_REQUIRED
        return bool(now.config.users) or asks_for_certificate

    def reload(self) -> bool:
        """Read the files again; True if they can be used."""
        if self._path:
            before = str(self._why)
            self._read(self._path)
            if self._why is None:
                log.info("reloaded: %s", strict.shown_path(self._path))
            elif str(self._why) != before:
                log.error("every request is refused: %s", self._why)
        return self._why is None

    def current(self) -> InForce:
        """The configuration in force; ConfigError as long as the files cannot be used."""
        if self._path and (self._stamp() != self._stamps or self._is_worth_a_try()):
            self.reload()
        if self._why:
            raise self._why
        return self._now

    def _is_worth_a_try(self) -> bool:
        """True if it is time to read again: an unreadable file can become readable unchanged."""
        return self._why is not None and self._clock() >= self._retry_at

    def _read(self, path: Path) -> None:
        began = self._clock()
        self._try_to_read(path)
        ended = self._clock()
        self._retry_at = ended + max(RETRY_SECONDS, (ended - began) / _LARGEST_SHARE)

    def _try_to_read(self, path: Path) -> None:
        self._files = [path]
        # Stamps from before reading: a change meanwhile is read next time.
        self._stamps, self._why = self._stamp(), None
        try:
            config = parse(path)
            if config.tls:
                self._files += config.tls.files()
                self._stamps = self._stamp()
            self._refuse_weaker(path, config)
            self._now = InForce(
                config,
                _context(path, config.tls) if config.tls else None,
                Bucket(config.rate_limit) if config.rate_limit else None,
            )
        except ConfigError as error:
            self._why = error
        except Exception as error:
            # The previous configuration must not stay in force: the file has changed.
            log.exception("this is a bug in fdscope: the web configuration cannot be read")
            self._why = ConfigError(
                f"{strict.shown_path(path)} cannot be used: {type(error).__name__}"
            )

    def _refuse_weaker(self, path: Path, config: WebConfig) -> None:
        """ConfigError if TLS or users are gone: a file can be half written when it is read."""
        before = self._now.config
        gone = [
            key
            for key, had, has in (
                ("tls_server_config", before.tls, config.tls),
                ("basic_auth_users", before.users, config.users),
                ("client_auth_type", _verifies(before), _verifies(config)),
            )
            if had and not has
        ]
        if gone:
            raise ConfigError(
                f"{strict.shown_path(path)} has lost {' and '.join(gone)}: to serve without,"
                " restart the exporter"
            )

    def _stamp(self) -> _Stamps:
        return tuple(map(_stamp, self._files))


def _context(path: Path, settings: TlsSettings) -> ssl.SSLContext:
    try:
        return context(settings)
    except ConfigError as error:
        raise ConfigError(f"{strict.shown_path(path)}: {error}") from error


def _verifies(config: WebConfig) -> bool:
    return config.tls is not None and config.tls.client_verification is ssl.CERT_REQUIRED


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Stamp that changes with the file; None if there is no file."""
    try:
        status = os.stat(path)  # noqa: PTH116 - the same, for a hot path
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
