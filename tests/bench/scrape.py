# SPDX-License-Identifier: GPL-2.0-only
"""Time of reading the maps and of a scrape."""

import gc
import gzip
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fdscope.exporter.accounts.processes import Processes
from fdscope.exporter.families import owned
from fdscope.exporter.http.exposition import Exposition, LeftOut, expose
from fdscope.probes.attach.compiler import import_bcc
from fdscope.probes.attach.source import STUB_DIR
from fdscope.probes.kernel import libbpf
from fdscope.probes.kernel.libbpf import host_cpus
from fdscope.probes.read import decode
from fdscope.probes.read.maps import HashMap, over_cpus
from fdscope.probes.schema.records import dtype
from fdscope.probes.schema.snapshot import Process, ProcessKey, Snapshot
from fdscope.probes.schema.taxonomy import Account

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


class _Counted:
    """A collector of the series of a map of counters that is written here, by no program."""

    def __init__(self) -> None:
        cpus = host_cpus()
        kind = 5  # include/uapi/linux/bpf.h: BPF_MAP_TYPE_PERCPU_HASH
        key, value = dtype("counter_key"), dtype("amount")
        fd = libbpf.make_map("counters", kind, key.itemsize, value.itemsize, 16384, 0)
        self._fd = fd
        self._map = HashMap(fd, key, value, 16384, cpus)
        self._reader = decode.AmountsReader()
        self._processes = Processes(1000, lambda _: "", lambda _: True)
        self._series = owned.SeriesCache()
        self._known = {
            ProcessKey(n, 1): Process(f"name-{n}".encode(), 1, False) for n in range(1, 501)
        }
        self._turn = 0
        self.left_out = LeftOut()
        self.grow(1)

    def grow(self, every: int) -> None:
        """Add to the counters of one process of so many."""
        self._turn += 1
        for process in self._known:
            if process.tgid % every:
                continue
            for door in range(2):
                for fd_type in range(1, 6):
                    record = (process.tgid, process.start, Account.FILE_READ, fd_type, door, 0)
                    key = np.array([record], dtype("counter_key"))
                    amounts = np.full(host_cpus(), (self._turn * 3, self._turn * 4711), "<u8,<u8")
                    libbpf.put(self._fd, key.tobytes(), amounts.tobytes())

    def scrape(self) -> Exposition:
        """Read the map, bring the accounts up to date, write the text, compress it."""
        amounts = self._reader.read(*self._map.read())
        self._processes.update(Snapshot(amounts, self._known), float(self._turn))
        families = self._series.tables(self._processes.totals())
        return expose(families, "", "gzip", self.left_out)

    def close(self) -> None:
        """Free the map."""
        os.close(self._fd)


def scrape_of_series() -> list[str]:
    """Markdown rows: a whole scrape of 10 000 series, of which all or some have grown."""
    rows = []
    gc.set_threshold(100_000)  # as the exporter does
    counted = _Counted()
    try:
        for what, every in (("all", 1), ("a tenth", 10), ("none", 1000)):
            times = []
            for _ in range(3 * ROUNDS):
                counted.grow(every)
                began = time.thread_time()
                packed = counted.scrape()
                times.append(time.thread_time() - began)
                body = gzip.decompress(packed.body)
            series = sum(1 for line in body.splitlines() if not line.startswith(b"#"))
            assert series == ENTRIES
            took = statistics.median(times)
            rows.append(f"| {series} | {what} | {took * 1000:.1f} | {took / series * 1e6:.2f} |")
    finally:
        counted.close()
    return rows


def pss_megabytes(pid: int) -> float:
    """Proportional set size of a process."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1000
    raise LookupError(f"no Pss of process {pid}")
