# SPDX-License-Identifier: GPL-2.0-only
"""Promotion, summing, ended processes and the budget: no byte is lost, no series goes down."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fdscope.exporter.accounts.processes import Owner, Processes, process_name
from fdscope.exporter.catalog.model import OTHER, UNKNOWN
from fdscope.exporter.catalog.slots import series_of, shown_as
from fdscope.probes.schema.slots import OTHER_ERRNO, with_errno
from fdscope.probes.schema.snapshot import Amount, Process, ProcessKey, Snapshot

CODE = 0
LINGER = 10.0


@dataclass
class Alive:
    """The kernel side's record of a process."""

    name: bytes
    amount: int = 0
    exited: bool = False
    recorded: bool = True
    more: dict[int, Amount] = field(default_factory=dict)
    """Amounts of other slots than CODE."""
    unit: int = 1

    @property
    def amounts(self) -> dict[int, Amount]:
        return {CODE: Amount(1, self.amount), **self.more} if self.amount else self.more


@dataclass
class Kernel:
    """Map contents that a test drives by hand."""

    processes: dict[ProcessKey, Alive] = field(default_factory=dict)

    def snapshot(self) -> Snapshot:
        return Snapshot(
            amounts={
                key: dict(process.amounts)
                for key, process in self.processes.items()
                if process.amounts
            },
            processes={
                key: Process(process.name, process.unit, process.exited)
                for key, process in self.processes.items()
                if process.recorded
            },
        )


class Lives(RuleBasedStateMachine):
    """Any order of new processes, I/O, renames, exits, reused pids and scrapes."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = Kernel()
        self.processes = Processes(3, lambda _: "unit", self.is_alive, LINGER)
        self.now = 1000.0
        self.starts = 0
        self.moved = 0
        self.seen: dict[Owner, int] = {}

    def is_alive(self, tgid: int) -> bool:
        return any(k.tgid == tgid and not p.exited for k, p in self.kernel.processes.items())

    def pick(self, number: int) -> Alive | None:
        living = [process for process in self.kernel.processes.values() if not process.exited]
        return living[number % len(living)] if living else None

    @rule(tgid=st.integers(1, 4), name=st.sampled_from([b"a", b"b"]), recorded=st.booleans())
    def birth(self, tgid: int, name: bytes, recorded: bool) -> None:
        if not self.is_alive(tgid):
            self.starts += 1
            self.kernel.processes[ProcessKey(tgid, self.starts)] = Alive(name, recorded=recorded)

    @rule(number=st.integers(0, 9), amount=st.integers(1, 1000))
    def traffic(self, number: int, amount: int) -> None:
        process = self.pick(number)
        if process:
            process.amount += amount
            self.moved += amount

    @rule(number=st.integers(0, 9), name=st.sampled_from([b"a", b"b", b"c"]))
    def rename(self, number: int, name: bytes) -> None:
        process = self.pick(number)
        if process:
            process.name = name

    @rule(number=st.integers(0, 9))
    def death(self, number: int) -> None:
        process = self.pick(number)
        if process:
            process.exited = True

    @rule(seconds=st.floats(0, 2 * LINGER))
    def keep(self, seconds: float) -> None:
        """Between scrapes: ended processes are removed from the maps."""
        self.now += seconds
        for key in self.processes.update(self.kernel.snapshot(), self.now, promote=False):
            assert self.kernel.processes.pop(key).exited

    @rule(seconds=st.floats(0, 2 * LINGER))
    def scrape(self, seconds: float) -> None:
        self.now += seconds
        for key in self.processes.update(self.kernel.snapshot(), self.now):
            assert self.kernel.processes.pop(key).exited
        totals = {
            owner: sum(amount.bytes for amount in amounts.values())
            for owner, amounts in self.processes.totals().items()
        }
        assert sum(totals.values()) == self.moved, "the sum over all is all that was moved"
        for owner, total in totals.items():
            assert total >= self.seen.get(owner, 0), "no series goes down"
        self.seen = totals

    @invariant()
    def series_are_bounded(self) -> None:
        assert self.processes.counts()["own"] <= 3


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=500, stateful_step_count=50, deadline=None)

ERRNOS = st.sampled_from([*range(1, 40), 200, 201])


class Drowned(RuleBasedStateMachine):
    """More names, units, pids and errnos than there is room for, and a running clock."""

    BUDGET = 60

    def __init__(self) -> None:
        super().__init__()
        self.kernel = Kernel()
        self.processes = Processes(
            6, lambda cgroup: f"unit{cgroup}", self.is_alive, LINGER, self.BUDGET
        )
        self.now = 1000.0
        self.starts = 0
        self.moved: Counter[bool] = Counter()
        """Operations that failed, and that did not."""
        self.shown: dict[tuple[Owner, int], int] = {}
        self.before = 0
        """Operations at the last scrape."""

    def is_alive(self, tgid: int) -> bool:
        return any(k.tgid == tgid and not p.exited for k, p in self.kernel.processes.items())

    @rule(
        number=st.integers(0, 200), unit=st.integers(1, 3), ends=st.booleans(),
        amount=st.integers(1, 1000), errnos=st.lists(ERRNOS, max_size=30),
    )  # fmt: skip
    def birth(self, number: int, unit: int, ends: bool, amount: int, errnos: list[int]) -> None:
        self.starts += 1
        key = ProcessKey(self.starts % 50 + 1, self.starts)
        name = b"n%d" % number
        self.kernel.processes[key] = Alive(name, exited=ends, unit=unit)
        self.grow(self.kernel.processes[key], amount, errnos)

    def grow(self, process: Alive, amount: int, errnos: list[int]) -> None:
        # Errors of reading and of writing: they are shown together.
        for what in (CODE, *(with_errno(CODE, errno) | errno % 2 for errno in errnos)):
            before = process.more.get(what, Amount(0, 0))
            process.more[what] = Amount(before.operations + amount, before.bytes)
            self.moved[what >> 24 > 0] += amount

    @rule(number=st.integers(0, 99), amount=st.integers(1, 1000), errnos=st.lists(ERRNOS))
    def traffic(self, number: int, amount: int, errnos: list[int]) -> None:
        living = [p for p in self.kernel.processes.values() if not p.exited]
        if living:
            self.grow(living[number % len(living)], amount, errnos)

    @rule(number=st.integers(0, 99), name=st.integers(0, 200), unit=st.integers(1, 3))
    def move(self, number: int, name: int, unit: int) -> None:
        living = [p for p in self.kernel.processes.values() if not p.exited]
        if living:
            living[number % len(living)].name = b"n%d" % name
            living[number % len(living)].unit = unit

    @rule(number=st.integers(0, 99))
    def death(self, number: int) -> None:
        living = [p for p in self.kernel.processes.values() if not p.exited]
        if living:
            living[number % len(living)].exited = True

    def refresh(self, promote: bool, forgets: bool) -> None:
        for key in self.processes.update(self.kernel.snapshot(), self.now, promote):
            assert self.kernel.processes[key].exited
            if forgets:
                del self.kernel.processes[key]

    @rule(seconds=st.floats(0, 2 * LINGER), forgets=st.booleans())
    def keep(self, seconds: float, forgets: bool) -> None:
        """Between scrapes; the entries cannot always be removed."""
        self.now += seconds
        self.refresh(False, forgets)

    @rule(seconds=st.one_of(st.floats(0, 2 * LINGER), st.floats(0, 4000)), forgets=st.booleans())
    def scrape(self, seconds: float, forgets: bool) -> None:
        self.now += seconds
        self.refresh(True, forgets)
        totals = self.processes.totals()
        operations: Counter[bool] = Counter()
        shown: dict[tuple[Owner, int], int] = {}
        for owner, amounts in totals.items():
            assert len({shown_as(what) for what in amounts}) == len(amounts)
            for what, amount in amounts.items():
                operations[what >> 24 > 0] += amount.operations
                shown[owner, what] = amount.operations
        assert operations == self.moved, "the sum over all is all that was counted"
        assert self.processes.sums[CODE].operations if self.moved else True
        grown = {what: value - self.shown.get(what, value) for what, value in shown.items()}
        assert min(grown.values(), default=0) >= 0, "no series goes down while it lives"
        # What increase() sees: the first value of a series is not in it.
        moved = sum(self.moved.values())
        assert sum(grown.values()) <= moved - self.before, "nothing is counted twice"
        self.shown, self.before = shown, moved
        other = sum(
            series_of(amounts) for owner, amounts in totals.items() if owner.process == OTHER
        )
        everything = sum(map(series_of, totals.values()))
        assert everything == self.processes.series
        assert everything - other <= self.BUDGET
        assert sum(bool(owner.pid) for owner in totals) <= 6

    @invariant()
    def nothing_is_kept_of_what_was_folded(self) -> None:
        assert self.processes.tracked <= len(self.kernel.processes) + 50
        assert self.processes.names <= self.BUDGET


TestDrowned = Drowned.TestCase
TestDrowned.settings = settings(max_examples=300, stateful_step_count=50, deadline=None)


def bytes_of(processes: Processes) -> dict[tuple[str, str, bool], int]:
    found: dict[tuple[str, str, bool], int] = defaultdict(int)
    for owner, amounts in processes.totals().items():
        for amount in amounts.values():
            found[owner.process, owner.pid, bool(owner.ended)] += amount.bytes
    return dict(found)


def scraped(kernel: Kernel, processes: Processes, now: float) -> dict[tuple[str, str, bool], int]:
    for key in processes.update(kernel.snapshot(), now):
        del kernel.processes[key]
    return bytes_of(processes)


def test_a_life_in_series() -> None:
    kernel = Kernel()
    processes = Processes(10, lambda _: "", lambda _: True, LINGER)
    long, short = ProcessKey(7, 1), ProcessKey(8, 1)
    kernel.processes[long] = Alive(b"long", 100)
    kernel.processes[short] = Alive(b"short", 5, exited=True)
    assert scraped(kernel, processes, 0) == {("long", "7", False): 100, ("short", "", False): 5}
    kernel.processes[long].amount = 150
    kernel.processes[long].exited = True
    assert scraped(kernel, processes, 5)["long", "7", False] == 150
    gone = scraped(kernel, processes, 16)
    assert gone == {("long", "", True): 150, ("short", "", False): 5}
    assert not kernel.processes


def test_a_new_sum_of_ended_processes_is_a_new_series() -> None:
    kernel = Kernel()
    processes = Processes(10, lambda _: "", lambda _: True, 0.0)
    ends = []
    for tgid in (1, 2):
        key = ProcessKey(tgid, 1)
        kernel.processes[key] = Alive(b"worker", 10)
        scraped(kernel, processes, 100.0)
        kernel.processes[key].exited = True
        scraped(kernel, processes, 100.0)
        ends += [owner.ended for owner in processes.totals() if owner.ended]
    assert len(ends) == len(set(ends)) == 2


def test_a_reused_pid_does_not_continue_the_series_of_the_dead() -> None:
    kernel = Kernel()
    processes = Processes(10, lambda _: "", lambda _: True, LINGER)
    first, second = ProcessKey(7, 1), ProcessKey(7, 2)
    kernel.processes[first] = Alive(b"same", 100)
    scraped(kernel, processes, 0)
    kernel.processes[first].exited = True
    kernel.processes[second] = Alive(b"same", 5)
    both = scraped(kernel, processes, 1)
    assert both == {("same", "7", False): 100, ("same", "", False): 5}
    assert sum(scraped(kernel, processes, 20).values()) == 105


def test_a_pid_and_name_that_come_back_do_not_continue_the_series() -> None:
    """Else the rate of the new bytes would be only their excess over the old ones."""
    kernel = Kernel()
    processes = Processes(10, lambda _: "", lambda _: True, LINGER)
    key = ProcessKey(7, 1)
    amounts = {
        0: (b"one", 100, {("one", "7", False): 100}),
        1: (b"two", 110, {("one", "", True): 100, ("two", "7", False): 10}),
        2: (b"one", 310, {("one", "", True): 100, ("two", "", True): 10, ("one", "", False): 200}),
    }
    for now, (name, amount, expected) in amounts.items():
        kernel.processes[key] = Alive(name, amount)
        assert scraped(kernel, processes, now) == expected


def test_a_name_between_two_scrapes_ends_no_series() -> None:
    kernel = Kernel()
    processes = Processes(10, lambda _: "", lambda _: True, LINGER)
    key = ProcessKey(7, 1)
    kernel.processes[key] = Alive(b"one", 100)
    scraped(kernel, processes, 0)
    kernel.processes[key].name = b"two"
    assert processes.update(kernel.snapshot(), 1, promote=False) == []
    kernel.processes[key] = Alive(b"one", 130)
    assert scraped(kernel, processes, 2) == {("one", "7", False): 130}


def test_series_stay_longer_than_the_entries_that_they_come_from() -> None:
    """Ended processes leave the maps early; amounts that arrive later count too."""
    kernel = Kernel()
    processes = Processes(10, lambda _: "", lambda _: False, LINGER)
    key = ProcessKey(7, 1)
    kernel.processes[key] = Alive(b"one", 100)
    scraped(kernel, processes, 0)
    kernel.processes[key].exited = True
    scraped(kernel, processes, 1)
    assert scraped(kernel, processes, 2) == {("one", "7", False): 100}
    assert not kernel.processes, "the entries are removed"
    assert scraped(kernel, processes, 3) == {("one", "7", False): 100}
    kernel.processes[key] = Alive(b"", 5, recorded=False)
    assert scraped(kernel, processes, 4) == {("one", "7", False): 105}
    assert not kernel.processes
    assert scraped(kernel, processes, 12) == {("one", "", True): 105}
    assert processes.counts() == {"own": 0, "summed": 0}


def test_a_name_after_a_storm_of_names() -> None:
    kernel = Kernel()
    processes = Processes(10, lambda _: "", lambda _: True, LINGER, budget=300)
    now = 0.0
    for number in range(3000):
        kernel.processes[ProcessKey(number, number)] = Alive(b"u%d" % number, 1, exited=True)
        if number % 30 == 29:
            now += 1
            totals = scraped(kernel, processes, now)
            assert len(totals) < 60
            assert sum(totals.values()) == number + 1
    assert totals[OTHER, "", False] > 2900
    kernel.processes[ProcessKey(1, 9999)] = Alive(b"service", 7)
    assert scraped(kernel, processes, now + 1)["service", "1", False] == 7
    scraped(kernel, processes, now + 6)
    kernel.processes[ProcessKey(3, 9999)] = Alive(b"short", 5, exited=True)
    assert scraped(kernel, processes, now + 7)["short", "", False] == 5
    now += 120
    scraped(kernel, processes, now)
    kernel.processes[ProcessKey(2, 9999)] = Alive(b"job", 9, exited=True)
    scraped(kernel, processes, now)
    totals = scraped(kernel, processes, now + 1)
    assert totals["job", "", False] == 9
    assert len(totals) < 15, "the room was given back"
    assert totals[OTHER, "", True] > 30


def test_who_moves_takes_the_place_of_who_does_not() -> None:
    kernel = Kernel({ProcessKey(n, 1): Alive(b"idle%d" % n, n) for n in range(1, 5)})
    processes = Processes(2, lambda _: "", lambda _: True, LINGER)
    scraped(kernel, processes, 0)
    kernel.processes[ProcessKey(9, 1)] = Alive(b"mover", 10_000)
    assert ("mover", "9", False) not in scraped(kernel, processes, 30)
    kernel.processes[ProcessKey(9, 1)].amount += 20_000
    own = {pid for _, pid, _ in scraped(kernel, processes, 61) if pid}
    assert "9" in own
    assert len(own) == 2
    assert processes.folded["process"] >= 1
    for now in range(62, 300, 7):  # it stays so while no process moves more
        assert {pid for _, pid, _ in scraped(kernel, processes, now) if pid} == own


def test_an_owner_shows_so_many_errors() -> None:
    kernel = Kernel()
    errnos = [*range(1, 134), 200, 240]
    more = {with_errno(CODE, number): Amount(3, 0) for number in errnos}
    kernel.processes[ProcessKey(1, 1)] = Alive(b"bomb", more=more)
    processes = Processes(10, lambda _: "", lambda _: True, LINGER)
    scraped(kernel, processes, 0)
    (amounts,) = processes.totals().values()
    other = shown_as(with_errno(CODE, OTHER_ERRNO))
    assert len(amounts) == 33
    assert amounts[other].operations == 3 * (len(errnos) - 32)
    assert shown_as(with_errno(CODE, 200)) not in amounts


def test_past_the_cap_processes_are_summed_under_their_name() -> None:
    kernel = Kernel({ProcessKey(tgid, 1): Alive(b"many", 1) for tgid in range(1, 8)})
    processes = Processes(2, lambda _: "", lambda _: True)
    totals = scraped(kernel, processes, 0)
    assert totals["many", "", False] == 5
    assert processes.counts() == {"own": 2, "summed": 5}


def test_between_scrapes_only_the_dead_are_taken_in() -> None:
    """Hundreds of short-lived processes a second fill no map, and none gets series."""
    kernel = Kernel()
    processes = Processes(10, lambda _: "", lambda _: True)
    kernel.processes[ProcessKey(1, 1)] = Alive(b"lives", 3)
    for number in range(2, 100):
        kernel.processes[ProcessKey(number, 1)] = Alive(b"short", 1, exited=True)
        for key in processes.update(kernel.snapshot(), float(number), promote=False):
            del kernel.processes[key]
        assert len(kernel.processes) <= 3
    assert bytes_of(processes) == {("short", "", False): 98}
    assert scraped(kernel, processes, 100.0)["lives", "1", False] == 3


def test_names_are_bounded_too() -> None:
    kernel = Kernel(
        {ProcessKey(n, 1): Alive(f"n{n}".encode(), 1, exited=True) for n in range(1, 5001)}
    )
    totals = scraped(kernel, Processes(10, lambda _: "", lambda _: True), 0)
    assert len(totals) <= 4001
    assert totals[OTHER, "", False] == 5000 - (len(totals) - 1)


def test_a_process_without_a_record_is_counted() -> None:
    kernel = Kernel({ProcessKey(1, 1): Alive(b"x", 3, recorded=False)})
    assert scraped(kernel, Processes(10, lambda _: "", lambda _: True), 0) == {
        (UNKNOWN, "", False): 3
    }


def test_process_names_keep_what_is_utf8() -> None:
    assert process_name(b'a"\\') == 'a"\\'
    assert process_name(b"a\nb") == "a\\x0ab"
    assert process_name("😀".encode() + b"\xf0\x9f") == "😀\\xf0\\x9f"
