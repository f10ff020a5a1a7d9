# SPDX-License-Identifier: GPL-2.0-only
"""A lens through a running exporter."""

import socket
from dataclasses import asdict

from fdscope.exporter.spotlight import protocol
from fdscope.exporter.spotlight.protocol import Message, NoProcessError, ProtocolError
from fdscope.exporter.spotlight.report import Document
from fdscope.probes.schema.files import Depth, Python
from fdscope.probes.text import printable

_PATIENCE_SECONDS = 60.0


class ControlError(Exception):
    """The exporter cannot be used; the text says why and what to do."""


class NotRunningError(ControlError):
    """No exporter listens there."""


class RemoteLens:
    """What this connection watches, until it is closed, however this process ends."""

    def __init__(self, path: str, version: str) -> None:
        """Connect; NotRunningError if nobody listens, ControlError if that cannot be used."""
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_PATIENCE_SECONDS)
        try:
            self._socket.connect(path)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            self._socket.close()
            raise NotRunningError(f"no exporter listens on {printable(path)}") from error
        except (OSError, ValueError) as error:
            self._socket.close()
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise ControlError(
                f"{printable(path)}: {why}: only root, and the group of --control.group, may use"
                " the exporter's control socket"
            ) from error
        self._lines = self._socket.makefile("rb")
        answer = self._ask(protocol.greeting(version))
        if why := protocol.mismatch(answer, "the exporter that runs"):
            self.close()
            raise ControlError(f"{why}, or --control=off")

    def watch(self, pid: int, follow: bool) -> None:
        """Watch a process from now on; NoProcessError if that cannot be."""
        self._ask({"do": "watch", "pid": pid, "follow": follow})

    def watch_origins(self, pid: int, depth: Depth, python: Python | None) -> None:
        """Watch a process, and where it opens descriptors; NoProcessError if that cannot be."""
        self._ask(
            {
                "do": "watch origins",
                "pid": pid,
                "depth": depth.value,
                "python": python and asdict(python),
            }
        )

    def origins(self) -> Document:
        """Where that was."""
        return self._document({"do": "origins"})

    def look(self, with_peers: bool = False) -> Document:
        """All watched processes and their files, now."""
        return self._document({"do": "look", "peers": with_peers})

    def list_all(self) -> Document:
        """The open files of all processes, none of them watched."""
        return self._document({"do": "list"})

    def host(self) -> Document:
        """What all processes have moved since the probes were attached, and what they hold."""
        return self._document({"do": "host"})

    def unwatch(self) -> None:
        """End what it watches, and go on."""
        self._ask({"do": "unwatch"})

    def close(self) -> None:
        """End what it watches."""
        self._socket.close()

    def _document(self, request: Message) -> Document:
        found = self._ask(request).get("document")
        if not isinstance(found, dict):
            raise ControlError("the exporter's answer has no document")
        return found

    def _ask(self, request: Message) -> Message:
        try:
            self._socket.sendall(protocol.encode(request))
            line = self._lines.readline()
        except OSError as error:
            raise ControlError(
                f"the exporter does not answer: {error.strerror or error}"
            ) from error
        if not line:
            raise ControlError("the exporter has closed the connection: it ended, or was restarted")
        try:
            answer = protocol.decode(line)
        except ProtocolError as error:
            raise ControlError(f"{printable(self._path)} is no control socket: {error}") from error
        if why := answer.get("error"):
            kind = NoProcessError if answer.get("kind") == "process" else ControlError
            raise kind(printable(str(why)))
        return answer
