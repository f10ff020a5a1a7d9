# SPDX-License-Identifier: GPL-2.0-only
"""A lens: what one command or client watches, on probes that this process has attached."""

import threading
from typing import TYPE_CHECKING, Protocol

from fdscope.exporter.spotlight.host import Host
from fdscope.exporter.spotlight.recorder import Recorder
from fdscope.exporter.spotlight.report import Document, document, origins_document
from fdscope.probes.schema.files import Depth, Python
from fdscope.probes.schema.taxonomy import Mode

if TYPE_CHECKING:
    from fdscope.probes.read.session import Session

POLL_SECONDS = 0.5


class Lens(Protocol):
    """Watches processes until it is closed."""

    def watch(self, pid: int, follow: bool) -> None:
        """Watch a process from now on; NoProcessError if that cannot be."""

    def look(self, with_peers: bool = False) -> Document:
        """All watched processes and their files, now."""

    def list_all(self) -> Document:
        """The open files of all processes, none of them watched."""

    def host(self) -> Document:
        """What all processes have moved since the probes were attached, and what they hold."""

    def unwatch(self) -> None:
        """End what it watches, and go on."""

    def close(self) -> None:
        """End what it watches."""


class OriginLens(Lens, Protocol):
    """A lens that can also be asked where descriptors are opened."""

    def watch_origins(self, pid: int, depth: Depth, python: Python | None) -> None:
        """Watch a process, and where it opens descriptors; NoProcessError if that cannot be."""

    def origins(self) -> Document:
        """Where that was."""


class OwnLens:
    """A lens on a session of this process."""

    def __init__(self, recorder: Recorder, mode: str, version: str) -> None:
        self._recorder = recorder
        self._mode = mode
        self._version = version
        self._lease = recorder.lease()

    def watch(self, pid: int, follow: bool) -> None:
        """Watch a process from now on; NoProcessError if that cannot be."""
        self._recorder.watch(self._lease, pid, follow)

    def watch_origins(self, pid: int, depth: Depth, python: Python | None) -> None:
        """Watch a process, and where it opens descriptors; NoProcessError if that cannot be."""
        self._recorder.watch(self._lease, pid, False, depth, python)

    def origins(self) -> Document:
        """Where that was."""
        return origins_document(self._recorder.origins(self._lease), self._mode, self._version)

    def look(self, with_peers: bool = False) -> Document:
        """All watched processes and their files, now."""
        view = self._recorder.view(self._lease, with_peers)
        return document(view, self._mode, self._version)

    def list_all(self) -> Document:
        """The open files of all processes, none of them watched."""
        return document(self._recorder.list_all(), self._mode, self._version)

    def host(self) -> Document:
        """What all processes have moved since the probes were attached, and what they hold."""
        return {"fdscope": self._version, "mode": self._mode, **self._recorder.host.read()}

    def unwatch(self) -> None:
        """End what it watches, and go on."""
        self._recorder.release(self._lease)
        self._lease = self._recorder.lease()

    def close(self) -> None:
        """End what it watches."""
        self._recorder.release(self._lease)


class Polling:
    """Polls a recorder while it is open, so that the kernel's maps stay small."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spotlight", daemon=True)

    def __enter__(self) -> "Polling":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            self._recorder.poll()


def recorder_of(session: "Session", is_shared: bool = True) -> Recorder | None:
    """A recorder of attached probes; ``is_shared``: with a collector.

    None where the kernel refused the list of files, and in the modes of functions with durations:
    there the programs have no room to watch.
    """
    lister = session.lister
    if session.settings.latency and session.mode is not Mode.TRACEPOINT:
        return None
    if session.spotlight is None or lister is None:
        return None
    return Recorder(session.spotlight, lister, Host(session, is_shared))
