# SPDX-License-Identifier: GPL-2.0-only
"""Workloads that run for minutes beside the real exporter: their own sums against its series."""

import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fdscope.probes.schema.snapshot import NOTHING, Amount
from tests.scorecard.judge import FILE, PAST_THE_RECEIVE_PATH, SOCKET, SOCKETS
from tests.scorecard.model import Line
from tests.scorecard.served import Exporter, Scrape
from tests.scorecard.tally import Entry, Tally

OURS = "sc-"
"""Prefix of the names of the workloads' processes."""
_READINGS = 5
"""Scrapes at the end: a residual counts only if it stays for a few."""
_METRICS = {
    (FILE, "read"): ("fdscope_file_reads_total", "fdscope_file_read_bytes_total"),
    (FILE, "written"): ("fdscope_file_writes_total", "fdscope_file_written_bytes_total"),
    (SOCKET, "read"): ("", "fdscope_socket_received_bytes_total"),
    (SOCKET, "written"): ("", "fdscope_socket_sent_bytes_total"),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """The exporter's own state at one scrape."""

    second: int
    scrape_seconds: float
    resident_kib: int
    open_fds: int
    series: int
    """Those of the workloads' processes and those of no process."""
    maps: dict[str, float]
    """Map to the share of it that is full."""
    residual: dict[str, int]
    """Fd type and direction to the residual of the ledger, on the whole host."""
    lost: dict[str, int]
    missed_runs: int


@dataclass(frozen=True, slots=True)
class Trial:
    """The result."""

    mode: str
    seconds: float
    operations: int
    bytes: int
    lines: list[Line]
    samples: list[Sample]
    missed_runs: dict[str, int]
    """Program to runs that the kernel skipped, on the whole host."""
    failed_parts: dict[str, int]
    """Part of the exporter to the scrapes in which it failed."""

    @property
    def wrong(self) -> list[Line]:
        """Lines that are not exact."""
        return [line for line in self.lines if not line.exact]

    @property
    def lost(self) -> dict[str, int]:
        """Losses at the end, except for calls that were waiting when the probes were attached."""
        first, last = self.samples[0].lost, self.samples[-1].lost
        more = {reason: count - first.get(reason, 0) for reason, count in last.items()}
        return {k: n for k, n in more.items() if n and k != "unmatched_return"}

    @property
    def residual(self) -> dict[str, int]:
        """The residual at the end."""
        return self.samples[-1].residual

    @property
    def passed(self) -> bool:
        """True if all is exact, nothing is lost and the ledger closes."""
        return not (self.wrong or self.lost or self.residual or self.failed_parts)

    @property
    def told(self) -> bool:
        """True if no more is missing than the kernel skipped runs."""
        missing = sum(line.expected_operations - line.operations for line in self.wrong)
        return all(line.lacks for line in self.wrong) and missing <= sum(self.missed_runs.values())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"passed": self.passed, **asdict(self)}


def _sample(scrape: Scrape, began: float) -> Sample:
    capacity = scrape.by_labels("fdscope_map_capacity_entries", "map")
    entries = scrape.by_labels("fdscope_map_entries", "map")
    return Sample(
        second=round(scrape.at - began),
        scrape_seconds=round(scrape.seconds, 3),
        resident_kib=scrape.resident_kib,
        open_fds=scrape.open_fds,
        series=sum(has.get("process", OURS).startswith(OURS) for _, has, _ in scrape.samples),
        maps={name: round(entries.get(name, 0) / room, 4) for name, room in capacity.items()},
        residual=scrape.by_labels("fdscope_ledger_residual_bytes_total", "fd_type", "direction"),
        lost=scrape.by_labels("fdscope_lost_updates_total", "reason"),
        missed_runs=scrape.total("fdscope_probe_missed_runs_total"),
    )


def _sums(scrape: Scrape, layer: str, account: str, **labels: str) -> Amount:
    operations, byte_count = _METRICS[layer, account]
    counted = scrape.total(operations, **labels) if operations else 0
    return Amount(counted, scrape.total(byte_count, **labels))


def _seen(first: Scrape, last: Scrape, names: Sequence[str], line: tuple[str, ...]) -> Amount:
    layer, account, fd_type, door = line
    labels = {"fd_type": fd_type} | ({"door": door} if layer == FILE else {})
    total = NOTHING
    for name in names:
        total = total.plus(_sums(last, layer, account, process=name, **labels))
        total = total.minus(_sums(first, layer, account, process=name, **labels))
    return total


def compare(entries: Sequence[Entry], first: Scrape, last: Scrape) -> list[Line]:
    """A line for each kind of operation of a process; a process x stands for all named x-1."""
    truth: dict[tuple[str, str, str, str, str], Amount] = {}
    for entry in entries:
        keys = [(entry.name, FILE, entry.account, entry.fd_type, entry.door)]
        passes_by = entry.account == "read" and entry.door in PAST_THE_RECEIVE_PATH
        if entry.fd_type in SOCKETS and not passes_by:
            keys.append((entry.name, SOCKET, entry.account, entry.fd_type, ""))
        for key in keys:
            amount = entry.amount if key[1] == FILE else Amount(0, entry.amount.bytes)
            truth[key] = truth.get(key, NOTHING).plus(amount)
    has_sockets = last.total("fdscope_probe_attached", layer=SOCKET) > 0
    if not has_sockets:
        truth = {key: amount for key, amount in truth.items() if key[1] == FILE}
    known = {labels["process"] for _, labels, _ in last.samples if "process" in labels}
    lines = []
    for (name, layer, account, fd_type, door), amount in sorted(truth.items()):
        names = [found for found in known if found == name or found.startswith(f"{name}-")]
        seen = _seen(first, last, names, (layer, account, fd_type, door))
        what = (name, layer, account, fd_type, door)
        lines.append(Line(0, *what, amount.operations, seen.operations, amount.bytes, seen.bytes))
    return lines


def run(
    exporter: Exporter, commands: Sequence[Sequence[str]], every: float, timeout: float
) -> Trial:
    """Run the workloads side by side and scrape ``every`` so many seconds.

    RuntimeError if a workload fails or takes more than ``timeout`` seconds.
    """
    tally = Tally()
    began = time.monotonic()
    first = exporter.scrape()
    samples = [_sample(first, began)]
    environment = {"FDSCOPE_TALLY": str(tally.fd)}
    running = [subprocess.Popen(c, env=environment, close_fds=False) for c in commands]
    try:
        while any(process.poll() is None for process in running):
            if time.monotonic() - began > timeout:
                raise RuntimeError(f"the workloads did not end within {timeout:.0f} s")
            time.sleep(every)
            samples.append(_sample(exporter.scrape(), began))
        took = time.monotonic() - began
        if any(process.returncode for process in running):
            raise RuntimeError(f"a workload failed: {[p.returncode for p in running]}")
        for _ in range(_READINGS):
            time.sleep(0.3)
            last = exporter.scrape()
        samples.append(_sample(last, began))
        entries = tally.entries()
    finally:
        for process in running:
            process.kill()
            process.wait()
        tally.close()
    modes = [has["mode"] for name, has, v in last.samples if name == "fdscope_attach_mode" and v]
    return Trial(
        mode=modes[0],
        seconds=round(took, 1),
        operations=sum(entry.amount.operations for entry in entries),
        bytes=sum(entry.amount.bytes for entry in entries),
        lines=compare(entries, first, last),
        samples=samples,
        missed_runs=last.by_labels("fdscope_probe_missed_runs_total", "program"),
        failed_parts=last.by_labels("fdscope_scrape_errors_total", "part"),
    )
