# SPDX-License-Identifier: GPL-2.0-only
"""One scrape, and its remaining families when a part fails."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from fdscope.exporter import collector as collector_module
from fdscope.exporter.accounts.selftester import SelfTester
from fdscope.exporter.collector import Collector
from fdscope.probes.attach.report import Report
from fdscope.probes.read.session import Session
from fdscope.probes.schema.slots import code_of
from fdscope.probes.schema.snapshot import (
    Accounts,
    Amount,
    Cgroup,
    FdFlow,
    Process,
    ProcessKey,
    Snapshot,
)
from fdscope.probes.schema.taxonomy import Account, Door, FdType, Mode
from fdscope.probes.selftest.run import Result

KEY = ProcessKey(5, 1)
CODE = code_of(Account.FILE_READ, FdType.FIFO, Door.READ_WRITE)


class NoCgroups:
    """A source without names of cgroups."""

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
    report = Report()

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.snapshots = 0
        self.is_over = False
        self.forgotten: list[ProcessKey] = []

    def accounts(self, of_the_living: bool = True) -> Accounts:
        assert not of_the_living
        return self.snapshot()

    def exited(self) -> list[ProcessKey]:
        return [KEY] if self.is_over else []

    def fd_flow(self) -> FdFlow:
        return FdFlow({}, {})

    def snapshot(self) -> Snapshot:
        self.snapshots += 1
        if self.failure:
            raise self.failure
        process = Process(b"cat", 1, self.is_over)
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
    """A census source that cannot list processes."""

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
    kernel.is_over = True
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


@pytest.mark.parametrize("step", [-86_400.0, 86_400.0])
def test_a_wall_clock_that_is_set_changes_nothing(
    step: float, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Series of ended processes go in time, and `ended` counts from the time of the start."""
    now, wall = [500.0], [1_700_000_000.0]
    clock = SimpleNamespace(time=lambda: wall[0], perf_counter=time.perf_counter)
    monkeypatch.setattr(collector_module, "time", clock)
    collector = Collector(cast(Session, kernel), "1.2", 10, clock=lambda: now[0])
    registry = CollectorRegistry()
    registry.register(collector)

    def shown() -> set[tuple[str, str]]:
        return {
            (s.labels["pid"], s.labels.get("ended", ""))
            for family in registry.collect()
            for s in family.samples
            if s.name == "fdscope_file_read_bytes_total"
        }

    assert shown() == {("5", "")}
    wall[0] += step
    kernel.is_over = True
    assert shown() == {("5", "")}
    now[0] += 29
    assert shown() == {("5", "")}
    now[0] += 2
    assert shown() == {("", "1700000031")}
    collector.close()


def test_a_failure_is_logged_once(
    kernel: Kernel, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    def scrape(failure: Exception | None) -> None:
        kernel.failure = failure
        sample(registry, "fdscope_processes")

    for _ in range(3):
        scrape(OSError("refused"))
    assert caplog.text.count("the part 'maps' of the scrape failed") == 1
    for failure in (None, None, OSError("refused again")):
        scrape(failure)
    assert caplog.text.count("the part 'maps' of the scrape failed") == 2
    assert sample(registry, "fdscope_scrape_errors_total", part="maps") == {"maps": 5.0}


def test_a_scrape_does_not_wait_for_the_self_test(kernel: Kernel) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def test(_: Callable[[], None]) -> Result:
        begun.set()
        may_end.wait(30)
        return Result((), 0)

    tester = SelfTester(test, interval=1)
    collector = Collector(cast(Session, kernel), "1.2", 10, tester)
    registry = CollectorRegistry()
    registry.register(collector)
    assert begun.wait(30)
    assert sample(registry, "fdscope_file_read_bytes_total", pid="5") == {"cat": 30.0}
    may_end.set()
    collector.close()


def test_the_series_are_told_and_have_a_budget(kernel: Kernel) -> None:
    kernel.snapshot = lambda: crowd(3000)  # type: ignore[method-assign]
    collector = Collector(cast(Session, kernel), "1.2", 1000, budget=2000)
    registry = CollectorRegistry()
    registry.register(collector)
    for _ in range(3):
        families = list(registry.collect())
        samples = [sample for family in families for sample in family.samples]
        (told,) = (s.value for s in samples if s.name == "fdscope_series")
        assert told == len(samples) <= 2000
        assert sum(s.value for s in samples if s.name == "fdscope_file_read_bytes_total") == 90_000
    collector.close()


def crowd(number: int) -> Snapshot:
    """So many living processes with so many names."""
    keys = [ProcessKey(tgid, 1) for tgid in range(1, number + 1)]
    return Snapshot(
        {key: {CODE: Amount(2, 30)} for key in keys},
        {key: Process(b"n%d" % key.tgid, 1, False) for key in keys},
    )


def test_units_with_series_have_names_within_the_budget(kernel: Kernel) -> None:
    cgroups = {1: Cgroup(1, 0, b"")}
    for number in range(2, 400):
        cgroups[number] = Cgroup(number, 1, b"%d.service" % number)

    class Many(NoCgroups):
        def take(self) -> list[Cgroup]:
            return list(cgroups.values())

    def snapshot() -> Snapshot:
        keys = [ProcessKey(number, 1) for number in range(2, 400)]
        return Snapshot(
            {key: {CODE: Amount(2, 30)} for key in keys},
            {key: Process(b"p", key.tgid, False) for key in keys},
        )

    kernel.cgroups = Many()
    kernel.snapshot = snapshot  # type: ignore[method-assign]
    collector = Collector(cast(Session, kernel), "1.2", 10, budget=2000)
    registry = CollectorRegistry()
    registry.register(collector)
    try:
        for most in (64, 100):
            families = list(registry.collect())
            samples = [s for family in families for s in family.samples]
            assert len(samples) <= 2000
            shown = {s.labels["unit"] for s in samples if s.name == "fdscope_unit_info"}
            owners = {
                s.labels["unit"] for s in samples if s.name == "fdscope_file_read_bytes_total"
            }
            assert len(shown) == most
            assert shown <= owners
            (left,) = [s.value for s in samples if s.name == "fdscope_units_without_info"]
            assert left == len(owners) - most
    finally:
        collector.close()
