# SPDX-License-Identifier: GPL-2.0-only
"""Cost of the exporter: memory after some scrapes, processor time without scrapes."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fdscope.probes.schema.taxonomy import Mode
from tests.bench.census import sleepers
from tests.bench.scrape import ROUNDS, pss_megabytes, seconds

CROWD = 5000
"""Living processes."""
_PORT = 20263
_URL = f"http://127.0.0.1:{_PORT}/metrics"
_SCRAPES = 20
_SETTLE_SECONDS = 5
_FORGET_SECONDS = 70
"""After this nobody scrapes, as far as the exporter can tell."""
_IDLE_SECONDS = 60
_IDLE_PROCESSES = 500
"""Each takes some seven entries of the map of counters."""
_ENTRIES = re.compile(rb'^fdscope_map_entries\{map="counters"\} (\S+)$', re.MULTILINE)


def _scrape() -> bytes:
    with urllib.request.urlopen(_URL) as answer:
        metrics: bytes = answer.read()
    return metrics


@contextmanager
def _exporter(mode: Mode, *options: str) -> Iterator[int]:
    """The pid of an exporter that answers."""
    command = [
        str(Path(sys.executable).with_name("fdscope")), "exporter", f"--probe.mode={mode.value}",
        f"--web.listen-address=127.0.0.1:{_PORT}", *options,
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


def start(mode: Mode) -> list[str]:
    """Markdown rows: processor time of all processes from the start to the first scrape."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="fdscope-", dir="/var/cache") as directory:
        for what, cache in (
            ("nothing kept", "off"),
            ("and kept", directory),
            ("kept before", directory),
        ):
            with _exporter(mode, f"--probe.cache={cache}") as pid:
                own, children = _spent(pid)
            rows.append(f"| {what} | {own:.2f} | {children:.2f} | {own + children:.2f} |")
    return rows


def _spent(pid: int) -> tuple[float, float]:
    """Seconds of CPU of a process, and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system, children_user, children_system = map(int, fields[11:15])
    ticks = os.sysconf("SC_CLK_TCK")
    return (user + system) / ticks, (children_user + children_system) / ticks


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


@contextmanager
def _crowd(processes: int, names: int) -> Iterator[None]:
    """Start so many processes with so many names, which have moved bytes and wait."""
    with tempfile.TemporaryDirectory() as directory:
        program = Path(directory) / "crowd"
        source = Path(__file__).with_name("crowd.c")
        subprocess.run(["gcc", "-O2", "-o", program, source], check=True)
        command = [str(program), str(processes), str(names)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as crowd:
            assert crowd.stdout
            crowd.stdout.readline()
            try:
                yield
            finally:
                crowd.kill()


@contextmanager
def _busy(processors: int) -> Iterator[None]:
    loops = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(processors)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def crowd(mode: Mode) -> list[str]:
    """Markdown rows: an exporter beside many living processes, each with a different name."""
    rows = []
    with _exporter(mode) as pid, _crowd(CROWD, CROWD):
        time.sleep(2 * _SETTLE_SECONDS)
        for what, processors in (("", 0), (", all processors busy", os.cpu_count() or 1)):
            with _busy(processors):
                body = _scrape()
                series = sum(1 for line in body.splitlines() if not line.startswith(b"#"))
                before = _cpu_seconds(pid)
                took = seconds(_scrape)
                work = (_cpu_seconds(pid) - before) / ROUNDS
                before = _cpu_seconds(pid)
                time.sleep(_IDLE_SECONDS)
                alone = (_cpu_seconds(pid) - before) / _IDLE_SECONDS
            rows.append(
                f"| {CROWD:,}{what} | {series} | {len(body) / 1e6:.1f} | {took:.2f} |"
                f" {work * 1000:.0f} | {alone * 1000:.0f} | {pss_megabytes(pid):.0f} |"
            )
    return rows


def idle(mode: Mode) -> list[str]:
    """Markdown rows: processor time of an exporter without scrapes, beside idle processes."""
    with _exporter(mode) as pid, sleepers(_IDLE_PROCESSES):
        time.sleep(_FORGET_SECONDS)
        before = _cpu_seconds(pid)
        time.sleep(_IDLE_SECONDS)
        took = _cpu_seconds(pid) - before
        found = _ENTRIES.search(_scrape())
    assert found
    return [f"| {float(found[1]):.0f} | {took / _IDLE_SECONDS * 1000:.1f} |"]
