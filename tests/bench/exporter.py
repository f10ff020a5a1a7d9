# SPDX-License-Identifier: GPL-2.0-only
"""What the exporter itself takes: memory after some scrapes, processor time while nobody asks."""

import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from probes.taxonomy import Mode
from tests.bench.census import sleepers
from tests.bench.scrape import pss_megabytes

_PORT = 20263
_URL = f"http://127.0.0.1:{_PORT}/metrics"
_SCRAPES = 20
_SETTLE_SECONDS = 5
_IDLE_SECONDS = 60
_IDLE_PROCESSES = 300
"""Each takes some seven entries of the map of counters."""
_ENTRIES = re.compile(rb'^fdscope_map_entries\{map="counters"\} (\S+)$', re.MULTILINE)


def _scrape() -> bytes:
    with urllib.request.urlopen(_URL) as answer:
        metrics: bytes = answer.read()
    return metrics


@contextmanager
def _exporter(mode: Mode) -> Iterator[int]:
    """The pid of an exporter that answers."""
    command = [
        str(Path(sys.executable).with_name("fdscope")), "exporter", f"--probe.mode={mode.value}",
        f"--web.listen-address=127.0.0.1:{_PORT}",
    ]  # fmt: skip
    exporter = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            assert exporter.poll() is None, "the exporter ended"
            try:
                _scrape()
            except OSError:
                time.sleep(0.5)
            else:
                break
        yield exporter.pid
    finally:
        exporter.send_signal(signal.SIGTERM)
        exporter.wait()


def memory(mode: Mode) -> list[str]:
    """Markdown rows: PSS of an exporter after some scrapes."""
    with _exporter(mode) as pid:
        for _ in range(_SCRAPES):
            _scrape()
        return [f"| {_SCRAPES} | {pss_megabytes(pid):.1f} |"]


def _cpu_seconds(pid: int) -> float:
    """Time that all threads of a process have run; none may end meanwhile."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def idle(mode: Mode) -> list[str]:
    """Markdown rows: processor time of an exporter that nobody scrapes, beside idle processes."""
    with _exporter(mode) as pid, sleepers(_IDLE_PROCESSES):
        time.sleep(_SETTLE_SECONDS)
        before = _cpu_seconds(pid)
        time.sleep(_IDLE_SECONDS)
        took = _cpu_seconds(pid) - before
        found = _ENTRIES.search(_scrape())
    assert found
    return [f"| {float(found[1]):.0f} | {took / _IDLE_SECONDS * 1000:.1f} |"]
