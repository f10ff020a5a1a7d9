# SPDX-License-Identifier: GPL-2.0-only
"""The journal of real probes, with what the tests' own processes did."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from fdscope.exporter.journal.journal import Journal, Source
from fdscope.exporter.journal.sinks.outlet import Line, Outlet
from fdscope.probes.read.session import Session
from fdscope.probes.schema.taxonomy import EventCount
from tests.kernel.conftest import ROOMY, Work, attached_with, in_child
from tests.ours import own_unit

Told = dict[str, Any]
Events = Callable[[Work], list[Told]]
PLENTY = 1_000_000


class Collecting:
    """A sink that keeps the lines."""

    name = "file"

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, lines: Sequence[Line]) -> int:
        self.lines += [line.text for line in lines]
        return len(lines)

    def close(self) -> None:
        """Nothing to give back."""


@pytest.fixture(scope="package")
def session() -> Iterator[Session]:
    """Probes that have the journal."""
    with attached_with(replace(ROOMY, journal=True)) as attached:
        yield attached


@pytest.fixture(scope="module", autouse=True)
def unit() -> Iterator[str]:
    """A cgroup of the tests' own: limits are those of a cgroup."""
    with own_unit() as name:
        yield name


def pids(told: Told) -> set[int]:
    """The process of an event, and those that started it."""
    who = told["process"]
    return {who["pid"], *(parent["pid"] for parent in who["parents"])} if who else set()


def accounted(journal: Journal) -> int:
    """Events that were written or counted as lost."""
    counts = journal.counts()
    return sum(counts.events.values()) + sum(counts.lost.values())


def read_before(source: Source) -> int:
    """Read all; events that were made, and not lost, before the journal is started."""
    while source.take():
        pass
    counts = source.counts()
    return counts[EventCount.MADE] - counts[EventCount.RING_FULL] - counts[EventCount.FLOOD]


def wait_until_read(source: Source, journal: Journal, before: int) -> None:
    """Until the events made so far are read: another CPU may be writing one before them."""
    made = source.counts()[EventCount.MADE] - before
    deadline = time.monotonic() + 30
    while accounted(journal) < made:
        assert time.monotonic() < deadline, "events are missing"
        time.sleep(0.01)


@pytest.fixture
def events(session: Session) -> Events:
    """Runs a workload in a separate process, and returns the events of it and its children."""

    def run(work: Work) -> list[Told]:
        assert session.events
        sink = Collecting()
        journal = Journal(session.events, [Outlet(sink)], PLENTY, "runbooks", own=0)
        before = read_before(session.events)
        journal.start(lambda _: "")
        try:
            pid = in_child(work)
            wait_until_read(session.events, journal, before)
        finally:
            journal.close()  # else it would read the events of the next test
        told = [json.loads(line) for line in sink.lines]
        return [each for each in told if pid in pids(each)]

    return run
