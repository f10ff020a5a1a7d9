# SPDX-License-Identifier: GPL-2.0-only
"""The load test and the soak: tens of thousands of operations a second, hundreds of processes."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tests.scorecard import trial
from tests.scorecard.programs import BUILT
from tests.scorecard.served import Exporter
from tests.scorecard.table import line_text
from tests.scorecard.trial import Sample, Trial

_SETTLED_SHARE = 3
"""The first third of a soak fills the maps; the other two are compared."""
_FEWEST_SAMPLES = 12
_GROWTH_KIB = 4096
_GROWTH_SHARE = 0.05
_SERIES_SHARE = 0.1
"""A new errno adds a series; a leak adds one for each process."""


@dataclass(frozen=True, slots=True)
class Size:
    """Size and duration."""

    seconds: float
    operations: int
    """Operations per second, of all threads together."""
    births: int
    """Short-lived processes per second; 0 for none."""
    processes: int = 4
    threads: int = 4
    every: float = 5.0
    """Seconds between scrapes."""
    folder: str = "/var/tmp"  # noqa: S108 on a disk, where /tmp may be in memory


def run(exporter: Exporter, size: Size) -> Trial:
    """Run it; RuntimeError if a workload fails."""
    load = ("load", size.seconds, size.operations, size.processes, size.threads, size.folder)
    churn = ("churn", size.seconds, size.births, size.folder)
    commands = [load, churn] if size.births else [load]
    words = [[str(BUILT / str(command[0])), *map(str, command[1:])] for command in commands]
    return trial.run(exporter, words, size.every, 10 * size.seconds + 120)


def _grows(values: Sequence[float], slack: float) -> bool:
    """True if the last third stands above the one before by more than ``slack``."""
    third = len(values) // _SETTLED_SHARE
    if len(values) < _FEWEST_SAMPLES:
        return False
    return median(values[-third:]) > median(values[-2 * third : -third]) + slack


def complaints(samples: Sequence[Sample]) -> list[str]:
    """Faults of a soak: memory or series that keep growing, maps that fill."""
    found = []
    memory = [float(sample.resident_kib) for sample in samples]
    if _grows(memory, _GROWTH_KIB + _GROWTH_SHARE * memory[0]):
        found.append(f"the exporter's memory grows: {[round(kib / 1024) for kib in memory]} MiB")
    if _grows([float(s.series) for s in samples], _SERIES_SHARE * samples[-1].series):
        found.append(f"the series become more and more: {[s.series for s in samples]}")
    if _grows([float(s.open_fds) for s in samples], 2):
        found.append(f"the exporter's descriptors become more: {[s.open_fds for s in samples]}")
    for name in samples[-1].maps:
        if max(sample.maps[name] for sample in samples) >= 1:
            found.append(f"the map {name} was full")
    return found


def text(result: Trial, verdicts: Sequence[str]) -> str:
    """The report as text."""
    last = result.samples[-1]
    rate = result.operations / result.seconds
    fullest = {name: max(sample.maps[name] for sample in result.samples) for name in last.maps}
    lines = [
        f"{result.mode} mode: {result.operations} operations, {result.bytes} bytes in"
        f" {result.seconds:.0f} s ({rate:.0f} a second)",
        f"{len(result.lines) - len(result.wrong)} of {len(result.lines)} sums exact; ledger"
        f" residual {result.residual or 0} bytes; lost {result.lost or 0}; missed runs"
        f" {result.missed_runs or 0}; failed scrapes {result.failed_parts or 0}",
        f"exporter: {result.samples[0].resident_kib / 1024:.0f} MiB at first,"
        f" {last.resident_kib / 1024:.0f} in the end; {last.series} series; scrape"
        f" {median(s.scrape_seconds for s in result.samples):.3f} s; maps at most full:"
        f" {', '.join(f'{name} {share:.0%}' for name, share in fullest.items())}",
    ]
    return "\n".join([*lines, *map(line_text, result.wrong), *verdicts])
