# SPDX-License-Identifier: GPL-2.0-only
"""The exporter as users run it, and its scrapes."""

import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TextIO

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from fdscope.exporter.collector import Collector
from fdscope.probes.read.session import Session
from tests.paths import ROOT

_START_SECONDS = 600
_STOP_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Scrape:
    """One answer of the exporter."""

    at: float
    """Time on the monotonic clock."""
    seconds: float
    """Seconds that it took."""
    samples: list[tuple[str, dict[str, str], float]]
    """Name, labels, value."""
    resident_kib: int
    """Memory of the exporter."""
    open_fds: int

    def total(self, name: str, **labels: str) -> int:
        """Sum of a metric over all series that have these labels."""
        return int(
            sum(
                value
                for found, has, value in self.samples
                if found == name and all(has.get(key) == word for key, word in labels.items())
            )
        )

    def by_labels(self, name: str, *labels: str) -> dict[str, int]:
        """Label values, with a space between, to the value of a metric; series of 0 left out."""
        return {
            " ".join(has[label] for label in labels): int(value)
            for found, has, value in self.samples
            if found == name and value
        }


class Exporter(Protocol):
    """A source of scrapes."""

    def scrape(self) -> Scrape:
        """Scrape it; OSError if it does not answer."""


def _scrape(pid: int, expose: Callable[[], str]) -> Scrape:
    began = time.monotonic()
    text = expose()
    took = time.monotonic() - began
    samples = [
        (sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]
    proc = Path(f"/proc/{pid}")
    resident = re.search(r"VmRSS:\s+([0-9]+)", (proc / "status").read_text())
    if resident is None:
        raise OSError("the exporter has ended")
    fds = sum(1 for _ in (proc / "fd").iterdir())
    return Scrape(began, took, samples, int(resident[1]), fds)


@dataclass(frozen=True, slots=True)
class Served:
    """A running exporter, scraped over HTTP."""

    pid: int
    url: str

    def scrape(self) -> Scrape:
        """Scrape it; OSError if it does not answer."""
        return _scrape(self.pid, self._get)

    def _get(self) -> str:
        with urllib.request.urlopen(self.url, timeout=60) as answer:  # noqa: S310 of our own
            text: str = answer.read().decode()
        return text


_PLENTY = 1_000_000
"""Series: when room is short, the first second of a new name counts for the other processes."""


def forget_ended(session: Session) -> None:
    """Give the entries of ended processes back, as an exporter does: else the maps fill up."""
    known = session.accounts().amounts
    session.forget([key for key in known if not Path(f"/proc/{key.tgid}").exists()])


class Inside:
    """The scrapes of an attached session, without a server."""

    def __init__(self, session: Session) -> None:
        """Without what ran on the host before: it has as many names as there were."""
        forget_ended(session)
        self._collector = Collector(session, "test", 1000, budget=_PLENTY)
        self._registry = CollectorRegistry()
        self._registry.register(self._collector)

    def scrape(self) -> Scrape:
        """Collect."""
        return _scrape(os.getpid(), lambda: generate_latest(self._registry).decode())

    def close(self) -> None:
        """Collect no more; the session stays."""
        self._collector.close()


@contextmanager
def served(mode: str, *flags: str) -> Iterator[Served]:
    """Run ``fdscope exporter`` on a free port; RuntimeError with its words if it does not start."""
    command = [
        sys.executable,
        "-m",
        "fdscope",
        "exporter",
        f"--probe.mode={mode}",
    ]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [*command, "--web.listen-address=127.0.0.1:0", *flags],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        with process:
            try:
                yield Served(process.pid, _wait(process, log))
            finally:
                process.terminate()
                try:
                    process.wait(_STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()


def _wait(process: subprocess.Popen[bytes], log: TextIO) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        log.seek(0)
        if found := re.search(r"https?://[0-9.]+:[0-9]+/metrics", log.read()):
            return found[0]
        time.sleep(0.2)
    log.seek(0)
    raise RuntimeError(f"the exporter does not serve:\n{log.read()}")
