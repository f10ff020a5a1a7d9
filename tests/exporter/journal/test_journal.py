# SPDX-License-Identifier: GPL-2.0-only
"""The journal's thread, with a kernel side that the test plays."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from fdscope.exporter.journal.journal import Journal, Told
from fdscope.exporter.journal.model import Severity
from fdscope.exporter.journal.sinks.outlet import Outlet
from fdscope.probes.schema.event import KernelEvent
from fdscope.probes.schema.taxonomy import EventCount, EventKind
from tests.exporter.journal.made import KERNEL_EVENT, PROCESS, Valve

OWN = 4_000_000


class Kernel:
    """The events that the test makes."""

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK)
        self.events: list[KernelEvent] = []
        self.count = dict.fromkeys(EventCount, 0)
        self.above: list[tuple[int, int, EventKind, int]] = []
        self.reads = 0

    def make(self, *events: KernelEvent) -> None:
        self.events += events
        os.eventfd_write(self.descriptor, 1)

    def take(self) -> list[KernelEvent]:
        self.reads += 1
        taken, self.events = self.events, []
        if taken:
            os.eventfd_read(self.descriptor)
        return taken

    def counts(self) -> dict[EventCount, int]:
        return dict(self.count)

    def left_out(self) -> list[tuple[int, int, EventKind, int]]:
        above, self.above = self.above, []
        return above


@contextmanager
def running(
    per_minute: int = 1000, unit: str = "x.service"
) -> Iterator[tuple[Kernel, Journal, Valve]]:
    kernel, valve = Kernel(), Valve()
    valve.open.set()
    journal = Journal(kernel, [Outlet(valve)], per_minute, "file:///runbooks", OWN)
    journal.start(lambda who: unit if who.cgroup_id == 1 else f"{who.cgroup_id}.service")
    yield kernel, journal, valve
    journal.close()
    os.close(kernel.descriptor)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_an_event_becomes_a_line() -> None:
    with running() as (kernel, journal, valve):
        kernel.make(KERNEL_EVENT)
        wait_for(lambda: bool(valve.taken))
        told = json.loads(valve.taken[0])
        assert told["text"] == (
            "bash (pid 42, root, x.service) put a tcp socket to 10.0.0.2:4444 on its fd 0"
        )
        assert told["process"]["unit"] == "x.service"
        assert told["runbook"] == "file:///runbooks/FdscopeShellStdioBecameSocket.md"
        assert journal.counts().events == {("stdio_socket", "critical"): 1}
        wait_for(lambda: journal.counts().written == {"file": 1})


def test_it_reads_nothing_while_nothing_happens() -> None:
    with running() as (kernel, _, valve):
        kernel.make(replace(KERNEL_EVENT))
        wait_for(lambda: bool(valve.taken))
        reads = kernel.reads
        time.sleep(0.3)
        assert kernel.reads == reads


def test_a_container() -> None:
    with running(unit="0123456789ab") as (kernel, _, valve):
        kernel.make(KERNEL_EVENT)
        wait_for(lambda: bool(valve.taken))
        who = json.loads(valve.taken[0])["process"]
        assert (who["unit"], who["container"]) == (None, "0123456789ab")


def test_what_fdscope_does_itself_is_left_out() -> None:
    own = replace(KERNEL_EVENT, process=replace(PROCESS, tgid=OWN))
    child = replace(KERNEL_EVENT, parents=((5, b"x"), (OWN, b"fdscope")))
    with running() as (kernel, journal, valve):
        kernel.make(own, child, KERNEL_EVENT)
        wait_for(lambda: bool(valve.taken))
        assert journal.counts().lost["own"] == 2
        assert sum(journal.counts().events.values()) == 1


def test_a_flood_by_one_unit() -> None:
    flood = [replace(KERNEL_EVENT, time=number) for number in range(5000)]
    other = replace(KERNEL_EVENT, process=replace(PROCESS, cgroup_id=2))
    with running(per_minute=10) as (kernel, journal, valve):
        kernel.make(*flood, other, replace(KERNEL_EVENT, kind=EventKind.MEMFD_EXECUTED))
        wait_for(lambda: len(valve.taken) >= 12)
        counts = journal.counts()
        written = sum(counts.events.values())
        assert written + counts.lost["limit"] == 5002
        assert {json.loads(each)["process"]["unit"] for each in valve.taken} == {
            "x.service",
            "2.service",
        }
        assert written < 20
    summary = json.loads(valve.taken[-1])
    assert summary["kind"] == "events_left_out"
    assert summary["facts"] == {
        "left_out": counts.lost["limit"],
        "of": "x.service",
        "of_kind": "stdio_socket",
    }


def test_what_the_kernel_has_left_out_is_told() -> None:
    with running() as (kernel, journal, valve):
        kernel.count[EventCount.FLOOD] = 7
        kernel.count[EventCount.RING_FULL] = 3
        kernel.above = [(1, 42, EventKind.FD_REFUSED, 6), (9, 0, EventKind.FD_PASSED, 1)]
        kernel.make(KERNEL_EVENT)
        wait_for(lambda: bool(valve.taken))
        lost = journal.counts().lost
        assert (lost["flood"], lost["ring_full"]) == (7, 3)
    texts = [json.loads(each)["text"] for each in valve.taken[1:]]
    assert texts == [
        "6 further events of kind fd_refused were left out: too many from pid 42 in x.service",
        "1 further events of kind fd_passed were left out: too many from cgroup 9",
    ]


def test_an_event_that_cannot_be_told_does_not_end_the_journal() -> None:
    broken = replace(KERNEL_EVENT, process=None)  # type: ignore[arg-type]
    with running() as (kernel, journal, valve):
        kernel.make(broken, KERNEL_EVENT)
        wait_for(lambda: bool(valve.taken))
        assert journal.counts().lost["error"] == 1


def test_events_of_user_space() -> None:
    told = Told(EventKind.SELFTEST_FAILED, Severity.WARNING, "selftest", "it fails", {"wrong": 1})
    with running() as (_, journal, valve):
        journal.tell(told)
        wait_for(lambda: bool(valve.taken))
        assert json.loads(valve.taken[0])["facts"] == {"wrong": 1}
        for _number in range(10_000):
            journal.tell(told)
    counts = journal.counts()
    assert sum(counts.events.values()) + counts.lost.get("limit", 0) == 10_001


def test_what_is_told_before_the_end_is_written() -> None:
    with running() as (kernel, _, valve):
        kernel.make(*[KERNEL_EVENT] * 100)
    assert len(valve.taken) == 100
