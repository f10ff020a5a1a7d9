# SPDX-License-Identifier: GPL-2.0-only
"""A census in steps, what it leaves out, and its drift against the events."""

import queue
import time
from collections.abc import Iterator, Mapping

import pytest

from fdscope.exporter.accounts import census
from fdscope.exporter.accounts.census import CensusTaker, Drift
from fdscope.exporter.accounts.census_owners import CensusOwners
from fdscope.exporter.accounts.devices import block_device
from fdscope.exporter.accounts.processes import Owner
from fdscope.exporter.families.fds import census_families, host_families
from fdscope.exporter.families.held import held_families
from fdscope.exporter.families.sockets import socket_families
from fdscope.probes.read.census import Deleted, Listening, ProcessFds, Queue
from fdscope.probes.read.fd_tables import Missing
from fdscope.probes.schema.snapshot import FdFlow, Process, ProcessKey
from fdscope.probes.schema.taxonomy import FdType, Stdio, TcpState


def fds(pid: int, counts: Mapping[FdType, int], **more: object) -> ProcessFds:
    values = {"limit": 1024, "stdio": {}, "permission_groups": 0} | more
    process = Process(f"name-{pid}".encode(), 1, False)
    return ProcessFds(ProcessKey(pid, 1), process, counts, **values)  # type: ignore[arg-type]


class Host:
    """Fake processes."""

    def __init__(self, found: Mapping[int, ProcessFds | Missing]) -> None:
        self.found = found
        self.opened = dict.fromkeys(FdType, 0)
        self.closed = dict.fromkeys(FdType, 0)

    def processes(self) -> list[int]:
        return list(self.found)

    def fds_of(self, pid: int) -> ProcessFds | Missing:
        return self.found[pid]

    def flow(self) -> FdFlow:
        return FdFlow(dict(self.opened), dict(self.closed))


def ticks(step: float) -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += step


def test_what_is_gone_is_left_out_and_what_is_unreadable_is_told() -> None:
    host = Host({1: fds(1, {FdType.TCP: 3}), 2: Missing.GONE, 3: Missing.UNREADABLE, 4: fds(4, {})})
    taken = CensusTaker(host, host.flow).take()
    assert taken is not None
    assert {key.tgid for key in taken.processes} == {1, 4}
    assert taken.unreadable == 1


def test_there_is_nothing_to_show_before_the_first_census() -> None:
    taker = CensusTaker(Host({}), Host({}).flow)
    assert taker.last is None
    assert taker.age is None


def test_its_age_grows() -> None:
    host = Host({1: fds(1, {})})
    clock = ticks(1.0)
    taker = CensusTaker(host, host.flow, lambda: next(clock))
    taker.take()
    assert taker.age == 1.0
    assert taker.age == 2.0


def test_a_long_census_rests_and_can_be_stopped() -> None:
    host = Host({pid: fds(pid, {}) for pid in range(1, 50)})
    clock = ticks(0.015)  # each look at the clock
    taker = CensusTaker(host, host.flow, lambda: next(clock))
    taker.close()
    assert taker.take() is None
    assert taker.last is None


def test_a_census_that_fails_is_told_and_the_next_one_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Host):
        def processes(self) -> list[int]:
            raise OSError("refused")

    host = Broken({})
    taker = CensusTaker(host, host.flow)
    taker.start()
    deadline = time.monotonic() + 20
    while not taker.failures:
        assert time.monotonic() < deadline, "no census failed"
        time.sleep(0.01)
    taker.close()
    assert "the census of open descriptors failed" in caplog.text


def flow(opened: int, closed: int) -> FdFlow:
    zero = dict.fromkeys(FdType, 0)
    return FdFlow(zero | {FdType.TCP: opened}, zero | {FdType.TCP: closed})


def drift_of(readings: list[tuple[int, FdFlow, FdFlow]]) -> list[int]:
    drift = Drift()
    return [
        drift.update({FdType.TCP: count}, before, after)[FdType.TCP]
        for count, before, after in readings
    ]


def test_no_drift_while_every_descriptor_is_explained() -> None:
    assert drift_of(
        [
            (10, flow(0, 0), flow(0, 0)),
            (12, flow(5, 3), flow(5, 3)),
            (13, flow(6, 4), flow(8, 5)),  # somewhere between 11 and 14
            (14, flow(8, 4), flow(8, 4)),
        ]
    ) == [0, 0, 0, 0]


def test_a_close_that_no_event_told_of() -> None:
    still = flow(5, 3)
    assert drift_of([(10, still, still), (9, still, still), (9, still, still)]) == [0, 0, -1]


def test_an_opening_that_no_event_told_of() -> None:
    still = flow(5, 3)
    readings = [(10, still, still), (13, still, still), (12, still, still), (10, still, still)]
    assert drift_of(readings) == [0, 0, 2, 0]


def test_families() -> None:
    own, summed = Owner("a", "1", "u"), Owner("b", "", "")
    stdio = {Stdio.INPUT: FdType.TCP}
    host = Host(
        {
            1: fds(1, {FdType.TCP: 3, FdType.FANOTIFY: 2}, permission_groups=1, stdio=stdio),
            2: fds(2, {FdType.TCP: 1}, limit=10, stdio=stdio),
            3: fds(3, {FdType.TCP: 5}, limit=20, stdio=stdio),
            4: fds(4, {}),
        }
    )
    taken = CensusTaker(host, host.flow).take()
    assert taken is not None
    owners = {key: own if key.tgid == 1 else summed for key in taken.processes}
    found = {
        (sample.name.removeprefix("fdscope_"), *(sample.labels.values())): sample.value
        for family in census_families(taken, owners)
        for sample in family.samples
    }
    assert found["open_fds", "a", "1", "u", "tcp"] == 3
    assert found["open_fds", "b", "", "", "tcp"] == 6
    assert found["max_fds", "a", "1", "u"] == 1024
    assert ("max_fds", "b", "", "") not in found, "a sum has no limit"
    assert found["fd_limit_ratio", "b"] == 0.25
    assert found["stdio_fds", "b", "", "", "0", "tcp"] == 2
    assert found["fanotify_groups", "a", "1", "u", "permission"] == 1
    assert found["fanotify_groups", "a", "1", "u", "notification"] == 1
    assert found["fd_drift", "tcp"] == 0
    assert found["fd_census_processes", "unreadable"] == 0


def test_families_of_sockets() -> None:
    own, summed = Owner("a", "1", "u"), Owner("b", "", "")
    states = {TcpState.CLOSE_WAIT: 2, TcpState.LISTEN: 1}
    listening = (Listening(3, 1.5, 7), Listening(4, 0.5, 1), Listening(1, 0.75, 2))
    host = Host(
        {
            n: fds(n, {FdType.TCP: 3}, tcp=states, listening=each)
            for n, each in enumerate(listening, 1)
        }
        | {4: fds(4, {FdType.TCP: 1}, tcp={TcpState.ESTABLISHED: 1})}
    )
    taken = CensusTaker(host, host.flow).take()
    assert taken is not None
    owners = {key: own if key.tgid == 1 else summed for key in taken.processes}
    found = {
        (sample.name.removeprefix("fdscope_"), *(sample.labels.values())): sample.value
        for family in socket_families(taken, owners)
        for sample in family.samples
    }
    assert found == {
        ("tcp_sockets", "a", "1", "u", "close_wait"): 2,
        ("tcp_sockets", "a", "1", "u", "listen"): 1,
        ("tcp_sockets", "b", "", "", "close_wait"): 4,
        ("tcp_sockets", "b", "", "", "listen"): 2,
        ("tcp_sockets", "b", "", "", "established"): 1,
        ("listen_waiting_connections", "a", "1", "u"): 3,
        ("listen_waiting_connections", "b", "", ""): 5,
        ("listen_queue_ratio", "a", "1", "u"): 1.5,
        ("listen_queue_ratio", "b", "", ""): 0.75,
        ("listen_drops", "a", "1", "u"): 7,
        ("listen_drops", "b", "", ""): 3,
    }


@pytest.mark.parametrize("budget", [0, 10, 30, 100, 1000])
def test_the_census_has_no_more_series_than_its_budget(budget: int) -> None:
    host = Host(
        {
            pid: fds(
                pid, {FdType.TCP: pid, FdType.FIFO: 2}, stdio={Stdio.INPUT: FdType.TCP},
                tcp={TcpState(1 + pid % 11): pid, TcpState.LISTEN: 1},
                listening=Listening(1, 0.5, 0),
            )
            for pid in range(1, 40)
        }
    )  # fmt: skip
    taken = CensusTaker(host, host.flow).take()
    assert taken is not None
    chosen = CensusOwners(1000, lambda each: Owner(each.process.name.decode(), "", ""))
    owners = chosen.choose(taken.processes, budget)
    series = [
        sample
        for family in (*census_families(taken, owners), *socket_families(taken, owners))
        for sample in family.samples
        if sample.labels.get("process", "(other processes)") != "(other processes)"
    ]
    assert len(series) <= budget


def test_files_of_the_host() -> None:
    values = [family.samples[0].value for family in host_families("1234\t0\t5678\n")]
    assert values == [1234, 5678]


def test_while_nobody_looks_the_next_census_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(census, "_INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr(census, "_UNSEEN_SECONDS", 3600.0)
    taken: queue.SimpleQueue[None] = queue.SimpleQueue()
    host = Host({})

    class Source:
        def processes(self) -> list[int]:
            taken.put(None)
            return []

        def fds_of(self, pid: int) -> ProcessFds | Missing:
            raise LookupError(pid)

    taker = CensusTaker(Source(), host.flow)
    taker.start()
    try:
        taken.get(timeout=20)
        with pytest.raises(queue.Empty):
            taken.get(timeout=0.5)
        taker.look()
        for _ in range(3):
            taken.get(timeout=20)
    finally:
        taker.close()


def test_queues_deleted_files_and_memory() -> None:
    """Sums and the fullest one; nothing is shown where there is nothing."""
    own, summed = Owner("a", "1", "u"), Owner("b", "", "")
    held = {"queues": {FdType.TCP: Queue(5, 7, 4, 7)}, "deleted": {8 << 20 | 1: Deleted(2, 1024)}}
    host = Host(
        {
            1: fds(1, {FdType.TCP: 3}, memfd_bytes=4096, **held),
            2: fds(2, {FdType.TCP: 3}, **held),
            3: fds(3, {FdType.FIFO: 3}, queues={FdType.FIFO: Queue(4096, 0, 4096, 0)}),
            4: fds(4, {FdType.TCP: 3}, queues={FdType.TCP: Queue(1, 0, 1, 0)},
                   deleted={0: Deleted(1, 0)}),
            5: fds(5, {FdType.TCP: 1}),
        }
    )  # fmt: skip
    taken = CensusTaker(host, host.flow).take()
    assert taken is not None
    owners = {key: own if key.tgid == 1 else summed for key in taken.processes}
    found = {
        (sample.name.removeprefix("fdscope_"), *(sample.labels.values())): sample.value
        for family in held_families(taken, owners)
        for sample in family.samples
    }
    a, b, device = ("a", "1", "u"), ("b", "", ""), block_device(8 << 20 | 1) or "8:1"
    assert found == {
        ("fd_unread_bytes", *a, "tcp"): 5,
        ("fd_unread_bytes", *b, "tcp"): 6,
        ("fd_unread_bytes", *b, "fifo"): 4096,
        ("fd_unsent_bytes", *a, "tcp"): 7,
        ("fd_unsent_bytes", *b, "tcp"): 7,
        ("fd_most_unread_bytes", *a, "tcp"): 4,
        ("fd_most_unread_bytes", *b, "tcp"): 4,
        ("fd_most_unread_bytes", *b, "fifo"): 4096,
        ("fd_most_unsent_bytes", *a, "tcp"): 7,
        ("fd_most_unsent_bytes", *b, "tcp"): 7,
        ("deleted_file_fds", *a, device): 2,
        ("deleted_file_fds", *b, device): 2,
        ("deleted_file_fds", *b, "other"): 1,
        ("deleted_file_bytes", *a, device): 1024,
        ("deleted_file_bytes", *b, device): 1024,
        ("deleted_file_bytes", *b, "other"): 0,
        ("memfd_bytes", *a): 4096,
    }


def test_queues_and_deleted_files_are_in_the_budget() -> None:
    """Each series that they make counts."""
    found = {
        ProcessKey(n, 1): fds(
            n,
            {FdType.TCP: 1},
            queues={FdType.TCP: Queue(1, 1, 1, 1)},
            deleted={device: Deleted(1, 1) for device in range(3)},
            memfd_bytes=1,
        )
        for n in range(100)
    }
    owners = CensusOwners(1000, lambda each: Owner(each.process.name.decode(), "", "")).choose(
        found, 200
    )
    taken = census.Taken(found)
    assert 0 < sum(len(family.samples) for family in held_families(taken, owners)) <= 200
