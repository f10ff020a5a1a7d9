# SPDX-License-Identifier: GPL-2.0-only
"""Time and memory of reading the maps and of a scrape."""

import os
import statistics
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from fdscope.exporter.accounts.processes import Processes
from fdscope.exporter.families import owned
from fdscope.probes.attach.compiler import import_bcc
from fdscope.probes.attach.source import STUB_DIR
from fdscope.probes.read.maps import HashMap, host_cpus, over_cpus
from fdscope.probes.schema.records import dtype
from fdscope.probes.schema.slots import code_of
from fdscope.probes.schema.snapshot import Amount, Process, ProcessKey, Snapshot

ENTRIES = 10_000
ROUNDS = 7


def seconds(
    work: Callable[[], object],
    rounds: int = ROUNDS,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Median time of a call."""
    times = []
    for _ in range(rounds):
        started = clock()
        work()
        times.append(clock() - started)
    return statistics.median(times)


def map_reading() -> list[str]:
    """Markdown rows: reading 10 000 entries in batches against BCC's items()."""
    os.environ["BCC_KERNEL_SOURCE"] = str(STUB_DIR)
    text = b"""
struct key { u32 tgid, start, code; };
struct amount { u64 operations, bytes; };
BPF_PERCPU_HASH(counters, struct key, struct amount, 16384);
"""
    table = import_bcc().BPF(text=text)[b"counters"]
    cpus = host_cpus()
    for number in range(ENTRIES):
        values = [table.sLeaf(1, number) for _ in range(cpus)]
        table[table.Key(number, 1, 0)] = (table.sLeaf * cpus)(*values)
    ours = HashMap(table.map_fd, dtype("counter_key"), dtype("amount"), 16384, cpus)

    def summed() -> object:
        keys, values = ours.read()
        return keys, over_cpus(values)

    keys, _ = ours.read()
    assert len(keys) == ENTRIES  # else the figures mean nothing
    batch, items = seconds(summed), seconds(lambda: list(table.items()), 3)
    return [f"| {items * 1000:.1f} | {batch * 1000:.2f} | {items / batch:.0f} |"]


class _Fixed(Collector):
    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._series = owned.SeriesCache()

    def collect(self) -> list[Metric]:
        return list(self._series.tables(self._processes.totals()))


def scrape_of_series() -> list[str]:
    """Markdown rows: a scrape of 10 000 series without the maps."""
    codes = [code_of(0, fd_type, door) for door in range(2) for fd_type in range(1, 6)]
    amounts = {ProcessKey(n, 1): dict.fromkeys(codes, Amount(3, 4)) for n in range(1, 501)}
    known = {key: Process(f"name-{key.tgid}".encode(), 1, False) for key in amounts}
    snapshot = Snapshot(amounts, known)
    processes = Processes(1000, lambda _: "", lambda _: True)
    registry = CollectorRegistry()
    registry.register(_Fixed(processes))

    def scrape() -> bytes:
        processes.update(snapshot, 0.0)
        return generate_latest(registry)

    series = sum(1 for line in scrape().splitlines() if not line.startswith(b"#"))
    took = seconds(scrape)
    tracemalloc.start()
    scrape()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return [f"| {series} | {took * 1000:.0f} | {took / series * 1e6:.1f} | {peak / 1e6:.1f} |"]


def pss_megabytes(pid: int) -> float:
    """Proportional set size of a process."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1000
    raise LookupError(f"no Pss of process {pid}")
