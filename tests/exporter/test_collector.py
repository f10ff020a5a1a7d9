# SPDX-License-Identifier: GPL-2.0-only
"""One scrape, and what is left of it when a part fails."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from exporter.collector import Collector
from probes.session import Session
from probes.snapshot import Accounts, Amount, Cgroup, FdFlow, Process, ProcessKey, Snapshot
from probes.taxonomy import Account, Door, FdType, Mode

KEY = ProcessKey(5, 1)
CODE = Account.FILE_READ | FdType.FIFO << 8 | Door.READ_WRITE << 16


class NoCgroups:
    """Names of cgroups where none is told."""

    def take(self) -> list[Cgroup]:
        return []

    def of_process(self, _pid: int) -> Iterator[Cgroup]:
        return iter(())


class Kernel:
    """A session whose maps a test fills, or breaks."""

    mode = Mode.TRACEPOINT
    preference = (Mode.KPROBE, Mode.FENTRY, Mode.TRACEPOINT)
    sees_sockets = True
    census: Any = None
    cgroups = NoCgroups()
    report: dict[str, Any] = {"hooks": []}  # noqa: RUF012 # as Session has it

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.snapshots = 0
        self.exited = False
        self.forgotten: list[ProcessKey] = []

    def accounts(self, of_the_living: bool = True) -> Accounts:
        assert not of_the_living
        return self.snapshot()

    def fd_flow(self) -> FdFlow:
        return FdFlow({}, {})

    def snapshot(self) -> Snapshot:
        self.snapshots += 1
        if self.failure:
            raise self.failure
        process = Process(b"cat", 1, self.exited)
        return Snapshot({KEY: {CODE: Amount(2, 30)}}, {KEY: process})

    def forget(self, processes: Sequence[ProcessKey]) -> None:
        self.forgotten += processes


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def now() -> list[float]:
    return [1000.0]


@pytest.fixture
def registry(kernel: Kernel, now: list[float]) -> Iterator[CollectorRegistry]:
    collector = Collector(cast(Session, kernel), "1.2", 10, clock=lambda: now[0])
    registry = CollectorRegistry()
    registry.register(collector)
    yield registry
    collector.close()


def sample(registry: CollectorRegistry, name: str, **labels: str) -> dict[str, float]:
    """Values by process or part, of the samples that have these labels."""
    return {
        s.labels.get("process", s.labels.get("part", "")): s.value
        for family in registry.collect()
        for s in family.samples
        if s.name == name and labels.items() <= s.labels.items()
    }


def test_registering_does_not_read_the_maps(kernel: Kernel, registry: CollectorRegistry) -> None:
    assert registry
    assert kernel.snapshots == 0


def test_the_maps_are_read_once_a_scrape(kernel: Kernel, registry: CollectorRegistry) -> None:
    assert sample(registry, "fdscope_file_read_bytes_total", pid="5") == {"cat": 30.0}
    assert kernel.snapshots == 1


def test_maps_that_cannot_be_read(
    kernel: Kernel, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    kernel.failure = OSError("refused")
    assert sample(registry, "fdscope_scrape_errors_total", part="maps") == {"maps": 1.0}
    assert sample(registry, "fdscope_build_info", version="1.2") == {"": 1.0}
    assert sample(registry, "fdscope_attach_mode", mode="tracepoint") == {"": 1.0}
    assert sample(registry, "fdscope_attach_mode_rank", mode="kprobe") == {"": 1.0}
    assert sample(registry, "fdscope_attach_mode_rank", mode="tracepoint") == {"": 3.0}
    assert not sample(registry, "fdscope_file_read_bytes_total")
    assert "the part 'maps' of the scrape failed" in caplog.text
    kernel.failure = None
    assert sample(registry, "fdscope_file_read_bytes_total") == {"cat": 30.0}


def test_names_of_cgroups_that_cannot_be_read_cost_no_bytes(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: NoCgroups) -> list[Cgroup]:
        raise OSError("refused")

    monkeypatch.setattr(NoCgroups, "take", refuse)
    assert sample(registry, "fdscope_file_read_bytes_total", unit="(unknown)") == {"cat": 30.0}
    assert sample(registry, "fdscope_scrape_errors_total", part="units")["units"] >= 1.0


class BrokenCensus:
    """Of a host whose processes cannot be listed."""

    def __init__(self) -> None:
        self.asked = threading.Event()

    def processes(self) -> list[int]:
        self.asked.set()
        raise OSError("refused")


def test_a_census_that_fails(kernel: Kernel, caplog: pytest.LogCaptureFixture) -> None:
    kernel.census = BrokenCensus()
    collector = Collector(cast(Session, kernel), "1.2", 10)
    kernel.census.asked.wait()
    collector.close()  # it waits for the thread that takes the census
    registry = CollectorRegistry()
    registry.register(collector)
    assert sample(registry, "fdscope_scrape_errors_total", part="census") == {"census": 1.0}
    assert "the census of open descriptors failed" in caplog.text
    assert not sample(registry, "fdscope_fd_census_age_seconds")


def test_the_dead_leave_the_maps(
    kernel: Kernel, registry: CollectorRegistry, now: list[float]
) -> None:
    kernel.exited = True
    sample(registry, "fdscope_processes")
    assert kernel.forgotten == []
    now[0] += 60
    sample(registry, "fdscope_processes")
    assert kernel.forgotten == [KEY]


def test_ready_once_the_maps_were_read(kernel: Kernel, now: list[float]) -> None:
    collector = Collector(cast(Session, kernel), "1.2", 10, clock=lambda: now[0])
    kernel.failure = OSError("refused")
    assert "refused" in str(collector.ready())
    kernel.failure = None
    assert collector.ready() is None
    collector.close()
