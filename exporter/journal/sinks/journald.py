# SPDX-License-Identifier: GPL-2.0-only
"""systemd's journal as a sink: structured fields, by its native protocol.

https://systemd.io/JOURNAL_NATIVE_PROTOCOL/: one datagram an entry, a ``FIELD=value`` a line. No
value has a line break: all text is printable.
"""

import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from fdscope.exporter.journal.model import Event, Severity
from fdscope.exporter.journal.sinks.outlet import Line

SOCKET = Path("/run/systemd/journal/socket")
_SECONDS = 5.0
_PRIORITIES = {Severity.CRITICAL: 2, Severity.WARNING: 4, Severity.INFO: 6}


def fields(event: Event, line: str) -> Iterator[tuple[str, str]]:
    """Names and values of an entry, those that are known."""
    yield "MESSAGE", event.text
    yield "PRIORITY", str(_PRIORITIES[event.severity])
    yield "SYSLOG_IDENTIFIER", "fdscope"
    yield "FDSCOPE_KIND", event.kind
    yield "FDSCOPE_SEVERITY", event.severity.value
    yield "FDSCOPE_RULE", event.rule
    for prefix, who in (("PROCESS", event.process), ("OTHER", event.other)):
        if who is None:
            continue
        known = {
            "": who.name, "_PID": str(who.pid), "_UID": str(who.uid), "_UNIT": who.unit,
            "_CONTAINER": who.container, "_COMMAND": who.command,
        }  # fmt: skip
        yield from ((f"FDSCOPE_{prefix}{name}", value) for name, value in known.items() if value)
    if event.file:
        yield "FDSCOPE_FD_TYPE", event.file.fd_type
        if event.file.remote:
            yield "FDSCOPE_REMOTE", event.file.remote
    if event.runbook:
        yield "FDSCOPE_RUNBOOK", event.runbook
    yield "FDSCOPE_EVENT", line


class Journald:
    """The journal's socket; connected again if the service was restarted."""

    name = "journald"

    def __init__(self, path: Path = SOCKET) -> None:
        self._path = path
        self._socket: socket.socket | None = None

    def write(self, lines: Sequence[Line]) -> int:
        """Send an entry for each; OSError if the journal takes none."""
        for number, line in enumerate(lines):
            entry = "".join(f"{name}={value}\n" for name, value in fields(line.event, line.text))
            try:
                self._send(entry.encode())
            except OSError:
                self.close()
                if not number:
                    raise
                return number
        return len(lines)

    def close(self) -> None:
        """Disconnect."""
        if self._socket:
            self._socket.close()
        self._socket = None

    def _send(self, entry: bytes) -> None:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.settimeout(_SECONDS)
            self._socket.connect(str(self._path))
        self._socket.send(entry)
