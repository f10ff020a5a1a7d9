# SPDX-License-Identifier: GPL-2.0-only
"""The log of ``fdscope exporter`` on standard error, one line per record."""

import json
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fdscope.probes.attach.report import Report, State
from fdscope.probes.text import printable

if TYPE_CHECKING:
    from fdscope.probes.selftest.run import Row

log = logging.getLogger(__name__)

_NOISY_LOGGERS = {"asyncio": "WARNING", "tornado.access": "WARNING", "tornado.general": "ERROR"}
"""tornado.general warns about faults of clients, such as a failed handshake."""


class _Logfmt(logging.Formatter):
    """``time=... level=INFO msg="..."``, as Go's slog writes it."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever is in the message."""
        fields = {"time": _time(record), "level": record.levelname}
        quoted = {"msg": record.getMessage()} | _error(self, record)
        words = [f"{name}={value}" for name, value in fields.items()]
        words += [f"{name}={_quoted(value)}" for name, value in quoted.items()]
        return " ".join(words)


STANDS_OUT = {"stands_out": True}
"""``extra=`` of a record that a reader looks for, in bold on a terminal."""


class _Terminal(_Logfmt):
    """Logfmt for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, in bold if it is to stand out."""
        line = super().format(record)
        return f"\x1b[1m{line}\x1b[0m" if "stands_out" in record.__dict__ else line


class _Json(logging.Formatter):
    """The same fields as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, all of it ASCII."""
        fields = {"time": _time(record), "level": record.levelname, "msg": record.getMessage()}
        fields |= _error(self, record)
        return json.dumps({name: _unicode(value) for name, value in fields.items()})


class _Systemd(logging.Formatter):
    """For the journal, which has a time itself and takes the level from ``<N>`` (sd-daemon(3))."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; those of a traceback follow, each with its level, and indented."""
        number = next(n for least, n in _JOURNAL_LEVELS if record.levelno >= least)
        lines = [record.getMessage()]
        lines += [f"  {line}" for line in _error(self, record).get("error", "").splitlines()]
        return "\n".join(f"<{number}>{printable(line)}" for line in lines)


# sd-daemon(3): SD_ERR, SD_WARNING, SD_INFO, SD_DEBUG
_JOURNAL_LEVELS = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))
_FORMATS = {"logfmt": _Logfmt, "terminal": _Terminal, "json": _Json, "systemd": _Systemd}


def _time(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03}Z"


def _error(formatter: logging.Formatter, record: logging.LogRecord) -> dict[str, str]:
    return {"error": formatter.formatException(record.exc_info)} if record.exc_info else {}


def _unicode(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _quoted(text: str) -> str:
    return printable(json.dumps(text, ensure_ascii=False))


def is_journal(environment: Mapping[str, str]) -> bool:
    """True if standard error goes to systemd's journal: JOURNAL_STREAM of systemd.exec(5)."""
    try:
        status = os.fstat(2)
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def start_logging(level: str, form: str, environment: Mapping[str, str] = os.environ) -> None:
    """Log to standard error from this level on, in one of ``options.LOG_FORMATS``."""
    # If the reader of standard error has left, no error about that can be written there.
    logging.raiseExceptions = False
    if form == "auto":
        form = "systemd" if is_journal(environment) else "logfmt"
    if form == "logfmt" and sys.stderr.isatty() and environment.get("TERM", "dumb") != "dumb":
        form = "terminal"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_FORMATS[form]())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    if level != "debug":
        for name, least in _NOISY_LOGGERS.items():
            logging.getLogger(name).setLevel(least)


def attached(report: Report, blind_spots: int) -> None:
    """Log which hooks are attached, which are not and why, and the number of blind spots."""
    for refused in report.refused:
        log.info("mode %s does not work here: %s", refused.mode, _line(refused.why))
    hooks = report.hooks
    for layer in dict.fromkeys(hook.layer for hook in hooks):
        names = [hook.function for hook in hooks if hook.layer == layer and hook.is_attached]
        log.info("attached, %s layer: %s", layer, ", ".join(names) or "nothing")
    for hook in hooks:
        if not hook.is_attached:
            level = logging.WARNING if hook.state is State.FAILED else logging.INFO
            log.log(level, "%s: %s: %s", hook.state, hook.function, _line(hook.why))
    log.info("attach mode: %s", report.mode)
    if report.origin:
        log.info("programs: %s", _line(report.origin))
    log.info(
        "blind spots of this mode on this kernel: %d (listed on the page, and by"
        " `fdscope doctor --blind-spots --mode %s`)",
        *(blind_spots, report.mode),
    )


def self_tested(rows: Sequence["Row"]) -> None:
    """Log the result of the self-test; nothing if there was none."""
    if not rows:
        return
    wrong = [row for row in rows if not row.ok]
    log.info("self-test: %d of %d rows exact", len(rows) - len(wrong), len(rows))
    for row in wrong:
        log.warning(
            "self-test: %s, %s %s: of %d bytes the file layer saw %d, the socket layer %s",
            *(row.case, row.fd_type, row.direction, row.expected_bytes, row.file_bytes),
            "none" if row.socket_bytes is None else row.socket_bytes,
        )


def _line(text: str) -> str:
    """The first line of a text, which may be a verifier's log."""
    return text.strip().partition("\n")[0]
