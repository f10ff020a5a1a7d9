# SPDX-License-Identifier: GPL-2.0-only
"""Looks through a lens again and again in a thread of its own: a look may take a while."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fdscope.exporter.spotlight.protocol import NoProcessError
from fdscope.exporter.spotlight.report import Document
from fdscope.exporter.top.rates import FileLine, Sheet, between, file_lines

if TYPE_CHECKING:
    from fdscope.exporter.spotlight.lens import Lens

_FIRST_SECONDS = 1.0
"""At most, from the first look at something to the second: before that there are no rates."""
_PATIENCE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ProcessFiles:
    """The files of a watched process, as last seen."""

    pid: int
    process: Document
    lines: tuple[FileLine, ...]
    mode: str
    lost: int
    """Operations of the process that had no room under a file."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen last of what is shown; replaced as a whole."""

    number: int
    """Grows from look to look."""
    pid: int | None
    """The process whose files are shown; None for all processes."""
    sheet: Sheet | None = None
    files: ProcessFiles | None = None
    refusal: str = ""
    """Why the process cannot be shown."""


class Feed:
    """Shows all processes, or the files of one: only that one is watched, and only meanwhile."""

    def __init__(self, lens: "Lens", seconds: float, notify: Callable[[], None]) -> None:
        """``notify`` is called in the thread after each look, and when it has failed."""
        self._lens = lens
        self._seconds = seconds
        self._notify = notify
        self._woken = threading.Event()
        self._is_over = False
        self._wanted: int | None = None
        self._watched: int | None = None
        self._before: Document | None = None
        self._process_before: Document | None = None
        self._thread = threading.Thread(target=self._run, name="looks", daemon=True)
        self.is_paused = False
        self.last: Look | None = None
        self.failure: Exception | None = None
        """What has ended the thread before its time."""

    def start(self) -> None:
        """Begin to look; ``close()`` ends it."""
        self._thread.start()

    def show(self, pid: int | None) -> None:
        """Look at the files of a process from now on, or at all processes."""
        self._wanted = pid
        self._woken.set()

    def pause(self, paused: bool) -> None:
        """Look no more, or go on; what ``show`` wants is looked at once even so."""
        self.is_paused = paused
        if not paused:
            self._woken.set()

    def close(self) -> None:
        """End; waits a while for a look that is in flight."""
        self._is_over = True
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE_SECONDS)

    def _run(self) -> None:
        try:
            while not self._is_over:
                self._woken.clear()
                wanted = self._wanted
                found = self._look(wanted)
                if wanted == self._wanted:  # else it is not wanted any more
                    self.last = found
                    self._notify()
                self._wait(found)
        except Exception as error:  # shown by the main thread, which ends the command
            self.failure = error
            if not self._is_over:
                self._notify()

    def _wait(self, found: Look) -> None:
        has_rates = found.sheet.seconds if found.sheet else found.files is None or found.number > 1
        self._woken.wait(self._seconds if has_rates else min(self._seconds, _FIRST_SECONDS))
        while self.is_paused and not self._woken.is_set() and not self._is_over:
            self._woken.wait()

    def _look(self, pid: int | None) -> Look:
        number = 1 if self.last is None or self.last.pid != pid else self.last.number + 1
        if self._watched is not None and self._watched != pid:
            self._lens.unwatch()
            self._watched = self._process_before = None
        if pid is None:
            after = self._lens.host()
            sheet = between(self._before, after)
            self._before = after
            return Look(number, None, sheet)
        try:
            if self._watched != pid:
                self._watched = pid
                self._lens.watch(pid, False)
        except NoProcessError as error:
            self._watched = None
            return Look(number, pid, refusal=str(error))
        return Look(number, pid, files=self._files(pid))

    def _files(self, pid: int) -> ProcessFiles | None:
        document = self._lens.look(with_peers=True)
        for process in document["processes"]:
            if process["pid"] == pid:
                lines = file_lines(self._process_before, process)
                self._process_before = process
                lost = process["lost_operations"]
                return ProcessFiles(pid, process, tuple(lines), str(document["mode"]), lost)
        return None
