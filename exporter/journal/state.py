# SPDX-License-Identifier: GPL-2.0-only
"""What the journal keeps from one run to the next, in files of the state directory."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

_MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class LastRun:
    """The last run."""

    mode: str
    """Attach mode."""
    stopped: bool
    """False while it runs: a run that finds this was preceded by a crash."""


class State:
    """The directory; without one nothing is kept. OSError from its methods."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def last_run(self) -> LastRun | None:
        """The run before this one; None if none is known."""
        try:
            told = json.loads(self.read("last-run.json") or "null")
            return LastRun(str(told["mode"]), bool(told["stopped"])) if told else None
        except (ValueError, KeyError, TypeError, RecursionError):
            return None

    def note_run(self, run: LastRun) -> None:
        """Keep it."""
        self.write("last-run.json", json.dumps(asdict(run)) + "\n")

    def read(self, name: str) -> str:
        """A file; "" if there is none."""
        if self._directory is None:
            return ""
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            fd = os.open(self._directory / name, flags)
        except FileNotFoundError:
            return ""
        with os.fdopen(fd, "rb") as file:
            return file.read(_MOST_BYTES).decode(errors="replace")

    def write(self, name: str, text: str) -> None:
        """Replace a file as a whole; only its owner can read it."""
        if self._directory is None:
            return
        new = self._directory / f"{name}.new"
        new.unlink(missing_ok=True)
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(text)
        new.rename(self._directory / name)
