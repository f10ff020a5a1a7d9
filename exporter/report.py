# SPDX-License-Identifier: GPL-2.0-only
"""What ``fdscope exporter`` tells on standard error."""

import logging
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from probes import blind_spots
from probes.taxonomy import Mode

if TYPE_CHECKING:
    from probes.selftest import Row

log = logging.getLogger(__name__)

_NOISY_LOGGERS = {"asyncio": "WARNING", "tornado.access": "WARNING", "tornado.general": "ERROR"}
"""What clients do wrong, such as a failed handshake, is a warning of tornado.general."""


def start_logging(level: str) -> None:
    """Log to standard error from this level on."""
    # A reader of standard error that has left is no reason to write about it there.
    logging.raiseExceptions = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    if level != "debug":
        for name, least in _NOISY_LOGGERS.items():
            logging.getLogger(name).setLevel(least)


def attached(report: Mapping[str, Any]) -> None:
    """Tell what hangs where, what does not and why, and what is not seen."""
    for refused in report.get("refused", ()):
        log.info("mode %s does not work here: %s", refused["mode"], _line(refused["why"]))
    hooks = report["hooks"]
    for layer in dict.fromkeys(hook["layer"] for hook in hooks):
        names = [h["function"] for h in hooks if (h["layer"], h["state"]) == (layer, "attached")]
        log.info("attached, %s layer: %s", layer, ", ".join(names) or "nothing")
    for hook in hooks:
        if hook["state"] != "attached":
            level = logging.WARNING if hook["state"] == "failed" else logging.INFO
            log.log(level, "%s: %s: %s", hook["state"], hook["function"], _line(hook["why"]))
    log.info("attach mode: %s", report["mode"])
    for spot in blind_spots.for_mode(Mode(report["mode"])):
        log.info("not traced: %s", spot)


def self_tested(rows: Sequence["Row"]) -> None:
    """Tell whether known bytes were counted right; nothing if there was no test."""
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
    """The first line of what may be a verifier's log."""
    return text.strip().partition("\n")[0]
