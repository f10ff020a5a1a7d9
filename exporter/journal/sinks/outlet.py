# SPDX-License-Identifier: GPL-2.0-only
"""The queue and the thread of a sink: a slow, full or gone sink costs its own lines only."""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fdscope.exporter.journal.model import Event

log = logging.getLogger(__name__)

_MOST_LINES = 2048
_MOST_CHARACTERS = 4 << 20
_BATCH = 256
_CLOSING_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Line:
    """An event and its line of JSON, without the end of the line."""

    event: Event
    text: str


class Sink(Protocol):
    """Writes lines; used by one thread."""

    name: str
    """For the label ``sink``."""

    def write(self, lines: Sequence[Line]) -> int:
        """Write them; how many were written, from the first on. OSError if none could be."""

    def close(self) -> None:
        """Give back what it holds."""


class Outlet:
    """Hands lines to a sink, in a thread of its own."""

    def __init__(self, sink: Sink, most_lines: int = _MOST_LINES) -> None:
        self.name = sink.name
        self.written = 0
        """Lines that the sink has taken."""
        self.lost = 0
        """Lines for which the queue had no room, or that the sink refused."""
        self._sink = sink
        self._most_lines = most_lines
        self._queue: deque[Line] = deque()
        self._characters = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._fails = False
        self._thread = threading.Thread(target=self._run, name=f"sink {sink.name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def __len__(self) -> int:
        """Lines that wait."""
        return len(self._queue)

    def put(self, line: Line) -> None:
        """Queue a line, or count it as lost; never waits for the sink."""
        with self._changed:
            room = self._characters + len(line.text) <= _MOST_CHARACTERS
            if self._stopping or len(self._queue) >= self._most_lines or not room:
                self.lost += 1
                return
            self._queue.append(line)
            self._characters += len(line.text)
            self._changed.notify()

    def close(self, seconds: float = _CLOSING_SECONDS) -> None:
        """Write what is queued, but do not wait longer: the rest is lost."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(seconds)
        with self._changed:
            self.lost += len(self._queue)
            self._queue.clear()
        if self.lost:
            log.warning("journal: %d events could not be written to %s", self.lost, self.name)

    def _run(self) -> None:
        while batch := self._next():
            self._write(batch)
        self._sink.close()

    def _next(self) -> list[Line]:
        """The next lines; none at the end."""
        with self._changed:
            while not self._queue and not self._stopping:
                self._changed.wait()
            batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
            self._characters -= sum(len(line.text) for line in batch)
            return batch

    def _write(self, batch: Sequence[Line]) -> None:
        written = 0
        try:
            written = self._sink.write(batch)
            why = ""
        except OSError as error:
            why = error.strerror or str(error)
        with self._changed:
            self.written += written
            self.lost += len(batch) - written
        fails = written < len(batch)
        if fails and not self._fails:
            log.warning(
                "journal: %s takes no events: %s (they are counted as"
                " fdscope_event_lines_lost_total)",
                *(self.name, why or "it is full"),
            )
        elif self._fails and not fails:
            log.info("journal: %s takes events again", self.name)
        self._fails = fails
