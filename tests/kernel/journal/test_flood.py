# SPDX-License-Identifier: GPL-2.0-only
"""A flood: each event is written or counted as lost, and others' events still come."""

import json
import os
import resource
import socket
import time

import pytest

from fdscope.exporter.journal.journal import Journal
from fdscope.exporter.journal.sinks.outlet import Outlet
from fdscope.probes.read.session import Session
from fdscope.probes.schema.taxonomy import EventCount
from tests.kernel.conftest import in_child
from tests.kernel.journal.conftest import (
    Collecting,
    accounted,
    pids,
    read_before,
    wait_until_read,
)
from tests.kernel.journal.test_events import executed_from_memory
from tests.ours import own_unit

FLOOD = 50_000


def refused() -> None:
    """As fast as a program can."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    left = FLOOD
    while left:
        try:
            os.open("/", os.O_RDONLY)
        except OSError:
            left -= 1


def test_every_event_is_written_or_counted(session: Session) -> None:
    assert session.events
    before = read_before(session.events)
    sink = Collecting()
    journal = Journal(session.events, [Outlet(sink)], 60, "runbooks", own=0)
    journal.start(lambda _: "")
    try:
        flooding = in_child(refused)
        hidden = in_child(lambda: executed_from_memory("hidden", ["hidden"]))
        wait_until_read(session.events, journal, before)
        counts = journal.counts()
        assert accounted(journal) >= FLOOD
        assert counts.lost["flood"] >= FLOOD - 10
    finally:
        journal.close()
    told = [json.loads(line) for line in sink.lines]
    assert [e["kind"] for e in told if hidden in pids(e)] == ["memfd_executed"]
    refusals = [e for e in told if flooding in pids(e)]
    assert 1 <= len(refusals) < 60
    (summary,) = [e for e in told if f"pid {flooding} " in e["facts"].get("of", "")]
    assert summary["facts"]["of_kind"] == "fd_refused"
    assert summary["facts"]["left_out"] + len(refusals) == FLOOD


def sniff() -> None:
    for _ in range(20):
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()


def test_a_ring_that_nobody_reads(session: Session, unit: str) -> None:
    """It fills, what does not fit is counted, and what fits is read later."""
    if not unit:
        pytest.skip("no cgroup can be made here: the limit of one is below what the ring holds")
    source = session.events
    assert source
    read_before(source)
    before = source.counts()
    for _ in range(10):
        with own_unit():
            for _ in range(10):
                in_child(sniff)
    made = {each: count - before[each] for each, count in source.counts().items()}
    assert made[EventCount.MADE] >= 2000
    assert made[EventCount.RING_FULL] > 0
    read = 0
    deadline = time.monotonic() + 30
    while read + made[EventCount.RING_FULL] + made[EventCount.FLOOD] < made[EventCount.MADE]:
        assert time.monotonic() < deadline, "events are missing"
        read += len(source.take())
    in_child(sniff)
    assert source.take(), "there is room again"
