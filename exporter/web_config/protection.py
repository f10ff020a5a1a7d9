# SPDX-License-Identifier: GPL-2.0-only
"""The web configuration in force: read at start, and again when its files change."""

import logging
import os
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exporter.web_config.context import context
from exporter.web_config.model import RateLimit, WebConfig, parse
from exporter.web_config.sections import WebConfigError

log = logging.getLogger(__name__)

_Stamps = tuple[tuple[int, ...] | None, ...]


@dataclass(frozen=True, slots=True)
class InForce:
    """A configuration and what was made of it; another one after each change."""

    config: WebConfig
    tls: ssl.SSLContext | None
    bucket: "Bucket | None"

    @property
    def headers(self) -> Mapping[str, str]:
        """What every answer carries."""
        return self.config.headers


@dataclass(slots=True)
class Bucket:
    """Counts requests against a rate limit."""

    limit: RateLimit
    left: float = field(init=False)
    when: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.left = self.limit.burst

    def admits(self) -> bool:
        """Take one request out, if there is one."""
        now = time.monotonic()
        gained = (now - self.when) / self.limit.interval_seconds
        self.left, self.when = min(self.limit.burst, self.left + gained), now
        if self.left < 1:
            return False
        self.left -= 1
        return True


OPEN = InForce(WebConfig(None, {}, {}, None), None, None)
"""No file was named: plain HTTP for everybody."""


class Protection:
    """Follows the file of ``--web.config.file``; WebConfigError if it cannot be used at start."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._now = OPEN
        self._why: WebConfigError | None = None
        self._files: list[Path] = []
        self._stamps: _Stamps = ()
        if path:
            self._read(path)
            if self._why:
                raise self._why

    @property
    def has_tls(self) -> bool:
        """Whether it was TLS when last read."""
        return self._now.tls is not None

    def reload(self) -> bool:
        """Read the files again; whether they can be used."""
        if self._path:
            self._read(self._path)
            if self._why:
                log.error("every request is refused: %s", self._why)
            else:
                log.info("read again: %s", self._path)
        return self._why is None

    def current(self) -> InForce:
        """What is in force now; WebConfigError as long as the files are wrong."""
        if self._path and self._stamp() != self._stamps:
            self.reload()
        if self._why:
            raise self._why
        return self._now

    def _read(self, path: Path) -> None:
        self._files = [path]
        # Stamps from before reading: what changes meanwhile is read once more.
        self._stamps, self._why = self._stamp(), None
        try:
            config = parse(path)
            if config.tls:
                self._files += config.tls.files()
                self._stamps = self._stamp()
            self._refuse_weaker(config)
            self._now = InForce(
                config,
                context(config.tls) if config.tls else None,
                Bucket(config.rate_limit) if config.rate_limit else None,
            )
        except WebConfigError as error:
            self._why = error

    def _refuse_weaker(self, config: WebConfig) -> None:
        """A file that is read while somebody writes it can lack its end."""
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
            raise WebConfigError(
                f"{self._path} has lost {' and '.join(gone)}: to serve without, restart the"
                " exporter"
            )

    def _stamp(self) -> _Stamps:
        return tuple(map(_stamp, self._files))


def _verifies(config: WebConfig) -> bool:
    return config.tls is not None and config.tls.client_verification is ssl.CERT_REQUIRED


def _stamp(path: Path) -> tuple[int, ...] | None:
    """What changes when the file does; None if there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 - the same, for a hot path
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
