# SPDX-License-Identifier: GPL-2.0-only
"""Messages to a service manager: ready, reloading, alive, stopping (sd_notify(3))."""

import logging
import os
import re
import socket
import time
from collections.abc import Mapping

log = logging.getLogger(__name__)


class Notifier:
    """Sends to the socket of NOTIFY_SOCKET; does nothing without it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = environment.get("WATCHDOG_USEC", "") if ours else ""
        asked = re.fullmatch("[0-9]{1,18}", microseconds)
        self.watchdog_seconds = (int(microseconds) / 1e6 if asked else 0.0) or None
        """The watchdog's interval; None if there is no watchdog."""

    def ready(self, status: str) -> None:
        """Report the end of a start or a reload."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Report the begin of a reload; ``ready()`` follows."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Report that the exporter stops."""
        self._send("STOPPING=1", "STATUS=detaching")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
                peer.connect(self._address)
                peer.send("\n".join(lines).encode())
        except (OSError, ValueError) as error:
            log.warning("cannot send %s to the service manager: %s", lines[0], error)
