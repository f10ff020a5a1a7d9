# SPDX-License-Identifier: GPL-2.0-only
"""Progress lines: the step, its cell, the seconds since the start."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO


@dataclass(frozen=True, slots=True)
class Progress:
    """Writes one line per event; safe to share between threads."""

    stream: TextIO = field(default_factory=lambda: sys.stderr)
    started: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def say(self, subject: str, text: str) -> None:
        """Write one line, led by the seconds since the lab started."""
        seconds = time.monotonic() - self.started
        with self.lock:
            self.stream.write(f"[{seconds:6.1f} s] {subject}: {text}\n")
            self.stream.flush()

    def block(self, title: str, text: str) -> None:
        """Write a log under a title, kept in one piece."""
        with self.lock:
            self.stream.write(f"----- {title}\n{text}\n----- end of {title}\n")
            self.stream.flush()

    @contextmanager
    def step(self, subject: str, text: str) -> Iterator[None]:
        """Print a step, and at its end the seconds that it took."""
        self.say(subject, f"{text} ...")
        began = time.monotonic()
        yield
        self.say(subject, f"{text}: done in {time.monotonic() - began:.1f} s")
