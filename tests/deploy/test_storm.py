# SPDX-License-Identifier: GPL-2.0-only
"""A storm of names, summed and given back, in a real Prometheus: no byte counts twice."""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry, start_http_server

from fdscope.exporter.collector import Collector
from fdscope.probes.attach.report import Report
from fdscope.probes.read.session import Session
from fdscope.probes.schema.slots import code_of
from fdscope.probes.schema.snapshot import Amount, FdFlow, Process, ProcessKey, Snapshot
from fdscope.probes.schema.taxonomy import Account, Door, FdType, Mode
from tests.dashboards.prometheus import get, instant
from tests.deploy.test_fd_leak import free_port, prometheus
from tests.exporter.test_collector import NoCgroups

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="no prometheus here: `make test` installs it"
)

CODE = code_of(Account.FILE_WRITE, FdType.FIFO, Door.READ_WRITE)
METRIC = "fdscope_file_written_bytes_total"
HASTE = 10
"""Speed-up of the collector's clock, so that a minute's rest is short."""
BUDGET = 2000
SERVICE_BYTES, STORM_BYTES = 1000, 1_000_000
"""Bytes of the service in a tick of a tenth of a second, and of each process of the storm."""
STORM_SECONDS, REST_SECONDS = 15, 25
WINDOW = 5


class Host:
    """One service, and a storm of processes with new names, each of which moves much more."""

    mode = Mode.TRACEPOINT
    sees_sockets = False
    census: Any = None
    cgroups = NoCgroups()
    report = Report()

    def __init__(self) -> None:
        self.amounts: dict[ProcessKey, int] = {ProcessKey(1, 1): 0}
        self.names: dict[ProcessKey, bytes] = {ProcessKey(1, 1): b"service"}
        self.ended: set[ProcessKey] = set()
        self.started = 0
        self.lock = threading.Lock()

    def tick(self, storm: bool) -> None:
        with self.lock:
            self.amounts[ProcessKey(1, 1)] += SERVICE_BYTES
            living = [key for key in self.names if key.tgid != 1 and key not in self.ended]
            # Some are seen alive and get series of their pid, most are not.
            self.ended.update(living[:-5] if storm else living)
            for number in range(30 if storm else 0):
                self.started += 1
                key = ProcessKey(self.started % 30_000 + 2, self.started)
                self.names[key] = b"storm%d" % self.started
                self.amounts[key] = STORM_BYTES
                if number < 27:
                    self.ended.add(key)

    @property
    def moved(self) -> int:
        return self.amounts[ProcessKey(1, 1)] + self.started * STORM_BYTES

    def snapshot(self) -> Snapshot:
        with self.lock:
            return Snapshot(
                {key: {CODE: Amount(1, amount)} for key, amount in self.amounts.items()},
                {key: Process(name, 1, key in self.ended) for key, name in self.names.items()},
            )

    def accounts(self, of_the_living: bool = True) -> Snapshot:
        assert not of_the_living
        whole = self.snapshot()
        gone = {key for key, process in whole.processes.items() if process.exited}
        return Snapshot(
            {key: whole.amounts[key] for key in gone}, {key: whole.processes[key] for key in gone}
        )

    def exited(self) -> list[ProcessKey]:
        with self.lock:
            return list(self.ended)

    def fd_flow(self) -> FdFlow:
        return FdFlow({}, {})

    def forget(self, processes: list[ProcessKey]) -> None:
        with self.lock:
            for key in processes:
                del self.amounts[key], self.names[key]
                self.ended.discard(key)


@contextmanager
def exporter(host: Host) -> Iterator[int]:
    collector = Collector(
        cast(Session, host), "", 50, clock=lambda: time.monotonic() * HASTE, budget=BUDGET
    )
    registry = CollectorRegistry()
    registry.register(collector)
    port = free_port()
    server, thread = start_http_server(port, "127.0.0.1", registry)
    try:
        yield port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        collector.close()


def run(host: Host, seconds: float, storm: bool) -> tuple[float, float]:
    """Wait; return when that began and ended."""
    began = time.time()
    while time.time() - began < seconds:
        host.tick(storm)
        time.sleep(0.1)
    return began, time.time()


def rates(port: int, selector: str, began: float, ended: float) -> list[float]:
    """Bytes per second at each second of the time."""
    found = get(
        port, "/api/v1/query_range", query=f"sum(rate({METRIC}{selector}[{WINDOW}s]))",
        start=began, end=ended, step=1,
    )  # fmt: skip
    return [float(value) for series in found["result"] for _, value in series["values"]]


def test_no_byte_is_seen_twice(tmp_path: Path) -> None:
    host = Host()
    with exporter(host) as target, prometheus(target, tmp_path) as port:
        run(host, 12, storm=False)
        before = host.moved
        storm = run(host, STORM_SECONDS, storm=True)
        in_storm = (host.moved - before) / (storm[1] - storm[0])
        # What the last window of the storm sees is over before the rest is looked at.
        run(host, WINDOW + 3, storm=False)
        ticks = host.amounts[ProcessKey(1, 1)]
        rest = run(host, REST_SECONDS, storm=False)
        alone = (host.amounts[ProcessKey(1, 1)] - ticks) / (rest[1] - rest[0])
        during = rates(port, "", *storm)
        after = rates(port, "", *rest)
        service = rates(port, '{process="service",pid="1"}', *rest)
        served = rates(port, '{process="service",pid="1"}', *storm)
        folded = {
            found["metric"]["rule"]: float(found["value"][1])
            for found in instant(port, "fdscope_series_folded_total")["result"]
        }
        most = instant(port, "max_over_time(fdscope_series[60s])")["result"][0]["value"][1]
        sums = instant(port, f"sum({METRIC})")["result"][0]["value"][1]
    assert folded["name"] > 1000
    assert folded["ended_name"] > 20
    assert float(most) <= BUDGET
    assert before + host.started * STORM_BYTES <= float(sums) <= host.moved
    assert len(during) > STORM_SECONDS / 2
    assert max(during) < 1.5 * in_storm
    # The amounts that are summed and moved now are a thousand times those of the service.
    assert len(after) > REST_SECONDS / 2
    assert max(after) < 1.5 * alone
    assert min(service) > 0.6 * alone
    assert min(served) > 0.4 * alone, "who lives and moves keeps its series"
