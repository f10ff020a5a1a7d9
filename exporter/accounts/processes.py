# SPDX-License-Identifier: GPL-2.0-only
"""From the amounts of each process to a bounded set of series.

The amounts of a process are added to one owner of series at a time, and stay there:

- to its *own* series, with its pid, if a scrape finds it alive and there is room;
- else to the *sum* of its name and unit, with ``pid=""``: processes that start and end between two
  scrapes, and those for which there was no room;
- else, where there is no room for the name either, to ``(other processes)``.

So the sum over all owners is all that was counted, whatever the rules below do.

The budget is in series. A third of it is for sums by name, the rest for processes. When room is
short, detail is given up in this order:

1. *errno*: an owner has a limited number of series of errors; further ones, and every errno without
   a name, are summed under ``errno="(other)"``.
2. *name*: a new name gets no sum when there is no room; when room is scarce, only its second
   appearance gets one.
3. *ended_name*: a name without living processes that was idle for a minute is summed: those that
   appeared once before those that appeared again, the longest idle first. A few may stay; after
   an hour all are summed.
4. *process*: processes that have ended lose the series of their pid early, then those that moved
   least lately. A living process that moves more than twice as much as one that has had its series
   for a minute takes its place.

A process that lost its series does not get them back for a while, and new ones are given only up
to nine tenths of the budget: so series do not flap.

Amounts of a series that ends may not be added to one that ``rate()`` reads: they would count a
second time there. So each sum has a second part for them, with the label ``ended``. The label has a
new value whenever the sum has grown: for Prometheus each is a new series, and only the sum over all
is continuous.
"""

import errno as errno_names
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

from fdscope.exporter.accounts.units import UNKNOWN_UNIT
from fdscope.exporter.catalog.model import OTHER, UNATTRIBUTED, UNKNOWN
from fdscope.exporter.catalog.slots import series_of, shown_as, width
from fdscope.probes.schema.slots import ERRNO_SHIFT, OTHER_ERRNO, UNKNOWN_ERRNO, with_errno
from fdscope.probes.schema.snapshot import (
    NOTHING,
    Accounts,
    Amount,
    Process,
    ProcessKey,
    amount,
)
from fdscope.probes.text import printable


class Owner(NamedTuple):
    """The owner of a series, as its labels."""

    process: str
    pid: str
    unit: str
    ended: str = ""
    """Unix time in seconds up to which ended processes are summed here, or "".

    It changes whenever the sum has grown."""


@lru_cache(maxsize=16384)
def process_name(comm: bytes) -> str:
    """A process name as a label value."""
    return printable(comm)


Amounts = dict[int, Amount]
"""Slot code to amount, as in ``Snapshot``."""

DEFAULT_BUDGET = 20_000
_SUMMED_LINGER_SECONDS = 0.5
"""Wait for what was counted during the last reading; no series of the pid must stay."""
_ENDED_LINGER_SECONDS = 5.0
"""Least time that an ended process keeps its series, even when room is short."""
_HOLD_SECONDS = 60.0
"""Least time that a living process keeps its series, unless the budget shrinks."""
_HALF_LIFE_SECONDS = 60.0
"""Half-life of the bytes that count as moved lately."""
_IDLE_SECONDS = 60.0
_LONGEST_IDLE_SECONDS = 3600.0
_SHORTEST_IDLE_SECONDS = 5.0
"""For names that appeared once, after a storm of names."""
_STORM_NAMES = 16
"""A storm lasts while more names than this find no room from one scrape to the next."""
_ERRORS_AN_OWNER = 32
_ERRORS_OF_OTHER = 128
_NAMES_SHARE = 3
"""Sums by name get this fraction of the budget: 1 / n."""
_IDLE_SHARE = 8
"""Names without living processes may keep this fraction of that: 1 / n."""
_MET_NAMES = 4096
_MOST_REFUSED = 32
"""After so many refusals, those that move most first, a scrape stops looking for room."""
_BYTES_AN_OPERATION = 512
"""Weight of an operation, in bytes, when processes are ranked by what they move."""

Name = tuple[str, str]
"""Name and unit."""


@dataclass(slots=True)
class _Pool:
    """A part of the budget."""

    series: int = 0


@dataclass(slots=True)
class _Account:
    """The amounts of one owner."""

    owner: Owner
    pool: _Pool
    folded: Counter[str]
    most_errors: int = _ERRORS_AN_OWNER
    amounts: Amounts = field(default_factory=dict)
    series: int = 0
    errors: int = 0

    def add(self, more: Mapping[int, Amount]) -> None:
        amounts = self.amounts
        for code, (operations, byte_count) in more.items():
            shown = self._shown(code) if code >> ERRNO_SHIFT else shown_as(code)
            before = amounts.get(shown)
            if before is None:
                more_series = width(shown)
                self.series += more_series
                self.pool.series += more_series
                amounts[shown] = more[code]
            else:
                amounts[shown] = amount((before[0] + operations, before[1] + byte_count))

    def _shown(self, code: int) -> int:
        code, number = shown_as(code), code >> ERRNO_SHIFT
        if code in self.amounts or number == OTHER_ERRNO:
            return code
        named = number == UNKNOWN_ERRNO or number in errno_names.errorcode
        if named and self.errors < self.most_errors:
            self.errors += 1
            return code
        self.folded["errno"] += 1
        return shown_as(with_errno(code, OTHER_ERRNO))

    def clear(self) -> None:
        self.pool.series -= self.series
        self.amounts, self.series, self.errors = {}, 0, 0


@dataclass(slots=True)
class _Sum:
    """The sum of a name: a growing part, and one for amounts from series that ended."""

    growing: _Account
    ended: _Account
    until: int = 0
    living: int = 0
    """Number of processes whose amounts are added here now."""
    last: float = 0.0
    """Time at which something was last added."""
    came: int = 0
    """Number of readings with processes that are new here."""
    closed: bool = False
    """True once its amounts, and all further ones, belong to the other processes."""

    @property
    def series(self) -> int:
        return self.growing.series + self.ended.series


@dataclass(slots=True)
class _Tracked:
    """A process that has entries in the map."""

    key: ProcessKey
    name: str
    unit: str
    amounts: Mapping[int, Amount] = field(default_factory=dict)
    """As of the last reading."""
    own: _Account | None = None
    """Its own series, with its pid."""
    sum: "_Sum | None" = None
    """The sum that its amounts are added to if it has no series."""
    exited: float | None = None
    since: float = 0.0
    """Time at which it got its own series."""
    moved: float = 0.0
    moved_at: float = 0.0
    series: int = 0
    """Number of series that its amounts need."""

    def note(self, growth: Mapping[int, Amount], now: float) -> None:
        self.series = series_of(self.amounts)
        moved = 0
        for operations, byte_count in growth.values():
            moved += byte_count + _BYTES_AN_OPERATION * operations
        self.moved = self.lately(now) + moved
        self.moved_at = now

    def lately(self, now: float) -> float:
        """Bytes that it moved lately, older ones with less weight."""
        if now == self.moved_at:
            return self.moved
        return float(self.moved * 2.0 ** ((self.moved_at - now) / _HALF_LIFE_SECONDS))


def _grown(before: Mapping[int, Amount], now: Mapping[int, Amount]) -> Amounts:
    """Growth between two readings; an entry that was removed meanwhile starts at 0."""
    if not before:
        return dict(now)
    growth = {}
    for code, present in now.items():
        earlier = before.get(code)
        if earlier is None or present[0] < earlier[0]:
            growth[code] = present
        elif present != earlier:
            growth[code] = amount((present[0] - earlier[0], present[1] - earlier[1]))
    return growth


class Processes:
    """Keeps the accounts of all processes, alive and ended, from snapshot to snapshot.

    ``unit`` returns the unit of a cgroup id; ``alive`` returns whether a tgid still exists, and
    is called only for a process of which the kernel side has no record. Series of a pid stay
    ``linger_seconds`` after the process has ended. At most ``most_own`` processes have them,
    and all owners together have at most ``budget`` series. All times are of a monotonic
    clock, which was 0 at ``epoch``, in Unix time.
    """

    def __init__(
        self,
        most_own: int,
        unit: Callable[[int], str],
        alive: Callable[[int], bool],
        linger_seconds: float = 30.0,
        budget: int = DEFAULT_BUDGET,
        epoch: float = 0.0,
    ) -> None:
        self.budget = budget
        """May change before each scrape."""
        self.folded: Counter[str] = Counter()
        """Number of times that each rule was applied."""
        self.sums: Amounts = {}
        """The amounts of all processes, without errors."""
        self._most_own = most_own
        self._unit = unit
        self._alive = alive
        self._linger = linger_seconds
        self._summed_linger = min(linger_seconds, _SUMMED_LINGER_SECONDS)
        self._epoch = epoch
        self._tracked: dict[ProcessKey, _Tracked] = {}
        self._ending: dict[ProcessKey, _Tracked] = {}
        """Processes that have ended and still have entries."""
        self._closed: set[ProcessKey] = set()
        """Processes whose entries are to be removed."""
        self._own: dict[Owner, _Tracked] = {}
        self._retired: dict[Owner, float] = {}
        """Owners of a pid whose series ended, and when: ``rate()`` may still read them."""
        self._names_pool, self._own_pool, self._other_pool = _Pool(), _Pool(), _Pool()
        self._sums: dict[Name, _Sum] = {}
        self._met: dict[Name, float] = {}
        """Names for which there was no room, and when they first appeared."""
        self._refused = 0
        """``folded["name"]`` at the last scrape."""
        self._other = self._new_sum((OTHER, ""), self._other_pool, _ERRORS_OF_OTHER)
        self._idle_exits: dict[ProcessKey, float] = {}
        self._stamp = 0
        self._stamp_is_shown = False

    def update(self, accounts: Accounts, now: float, promote: bool = True) -> list[ProcessKey]:
        """Add a reading, made at ``now``; return ended processes whose entries must be removed.

        Without ``promote`` only ended processes and those with series are added: new living ones,
        and new names, wait for the next scrape, and no series is given up.

        A process that is returned and appears in a later reading is returned again; its growth
        counts.
        """
        self._closed.intersection_update(accounts.amounts)
        fresh: list[tuple[_Tracked, Amounts]] = []
        for key, amounts in accounts.amounts.items():
            self._take(key, amounts, accounts.processes.get(key), now, promote, fresh)
        if promote:
            for key in self._tracked.keys() - accounts.amounts.keys() - self._ending.keys():
                self._end(self._tracked[key], now)
            self._make_room(now)
            self._give_series(fresh, now)
            self._fold_names(now)
            self._make_room(now)  # the other processes' sum has grown
            self._retired = {
                owner: since for owner, since in self._retired.items() if now - since < self._linger
            }
        for tracked in list(self._ending.values()):
            self._let_go(tracked, tracked.key in accounts.amounts, now)
        return [*self._closed, *self._exits_without_counters(accounts, now)]

    def totals(
        self, overflow: Mapping[int, Amount] | None = None
    ) -> dict[Owner, Mapping[int, Amount]]:
        """Each owner of series once, with its amounts: the sum over all is all that was counted.

        ``overflow`` is that of the last snapshot.
        """
        self._stamp_is_shown = True
        totals: dict[Owner, Mapping[int, Amount]] = {}
        if overflow:
            totals[Owner(UNATTRIBUTED, "", "")] = overflow
        for owner, tracked in self._own.items():
            if tracked.own:
                totals[owner] = tracked.own.amounts
        for each in (*self._sums.values(), self._other):
            if each.growing.amounts:
                totals[each.growing.owner] = each.growing.amounts
            if each.ended.amounts:
                totals[each.ended.owner._replace(ended=str(each.until))] = each.ended.amounts
        return totals

    def has_work(self, exited: Iterable[ProcessKey], now: float) -> bool:
        """True if ended processes are to be read: one is new, or the entries of one may go."""
        return (
            any(key not in self._ending and key not in self._idle_exits for key in exited)
            or any(now - since >= self._summed_linger for since in self._idle_exits.values())
            or any(
                each.amounts and now - (each.exited or 0.0) >= self._summed_linger
                for each in self._ending.values()
            )
        )

    @property
    def series(self) -> int:
        """Number of series of all owners, without the overflow."""
        return self._own_pool.series + self._names_pool.series + self._other_pool.series

    def owner_of(self, key: ProcessKey, process: Process) -> Owner:
        """The owner of a process; without a pid if nothing was counted for the process."""
        tracked = self._tracked.get(key)
        if tracked is None:
            return Owner(process_name(process.name), "", self._unit(process.cgroup_id))
        if tracked.own:
            return tracked.own.owner
        return Owner(tracked.name, "", tracked.unit)

    @property
    def names(self) -> int:
        """Number of names with a sum."""
        return len(self._sums)

    @property
    def tracked(self) -> int:
        """Number of processes that are tracked, also ended ones."""
        return len(self._tracked)

    def counts(self) -> dict[str, int]:
        """Number of tracked processes with series of their pid, and of those without."""
        summed = sum(not t.own and key not in self._closed for key, t in self._tracked.items())
        return {"own": len(self._own), "summed": summed}

    def _take(
        self,
        key: ProcessKey,
        amounts: Mapping[int, Amount],
        process: Process | None,
        now: float,
        promote: bool,
        fresh: list[tuple[_Tracked, Amounts]],
    ) -> None:
        tracked = self._tracked.get(key)
        gone = process.exited if process else not self._alive(key.tgid)
        if not (gone or promote or tracked):
            return
        if process is None and tracked:
            name, unit = tracked.name, tracked.unit
        else:
            name, unit = self._name_of(process)
        growth: Amounts = {}
        if tracked is None:
            tracked = self._tracked[key] = _Tracked(key, name, unit)
            growth = dict(amounts)
        elif amounts is not tracked.amounts and amounts != tracked.amounts:
            growth = _grown(tracked.amounts, amounts)
        renamed = (gone or promote) and (tracked.name, tracked.unit) != (name, unit)
        if renamed:
            # What was done so far stays with the earlier name or unit.
            self._give_up(tracked, now)
            self._leave_sum(tracked)
            tracked.name, tracked.unit = name, unit
        tracked.amounts = amounts
        if growth:
            tracked.note(growth, now)
            self._sum_up(growth)
        if gone:
            self._end(tracked, now)
        if tracked.own:
            tracked.own.add(growth)
        elif gone:
            self._add_to_sum(tracked, growth, now)
        elif promote:
            fresh.append((tracked, growth))
        elif growth:
            self._add_to_sum(tracked, growth, now)

    def _sum_up(self, growth: Amounts) -> None:
        sums = self.sums
        for code, (operations, byte_count) in growth.items():
            if not code >> ERRNO_SHIFT:
                before = sums.get(code, NOTHING)
                sums[code] = amount((before[0] + operations, before[1] + byte_count))

    def _name_of(self, process: Process | None) -> Name:
        """Name and unit of a process; ``UNKNOWN`` if there is no record of it."""
        if process is None:
            return UNKNOWN, UNKNOWN_UNIT
        return process_name(process.name), self._unit(process.cgroup_id)

    # Series of a pid

    def _give_series(self, waiting: list[tuple[_Tracked, Amounts]], now: float) -> None:
        """Give series to living processes without any while there is room; sum the others.

        ``waiting``: all of them, with their growth.
        """
        ranked = sorted(waiting, key=lambda item: item[0].lately(now), reverse=True)
        losers = self._losers(now) if self._is_short(ranked) else []
        refused = 0
        for tracked, growth in ranked:
            if refused >= _MOST_REFUSED:
                self._refuse(tracked, growth, now)
                continue
            owner = Owner(tracked.name, str(tracked.key.tgid), tracked.unit)
            # An earlier process of that pid and name may still have its series, or had it just now.
            used = owner in self._own or owner in self._retired
            if used or tracked.name == UNKNOWN:
                self._add_to_sum(tracked, growth, now)
            elif self._find_room(tracked, losers, now):
                self._leave_sum(tracked)
                tracked.own = _Account(owner, self._own_pool, self.folded)
                tracked.since = now
                self._own[owner] = tracked
                tracked.own.add(growth)
            else:
                refused += 1
                self._refuse(tracked, growth, now)

    def _refuse(self, tracked: _Tracked, growth: Amounts, now: float) -> None:
        self.folded["process"] += bool(growth) and tracked.sum is None
        self._add_to_sum(tracked, growth, now)

    def _find_room(self, tracked: _Tracked, losers: list[_Tracked], now: float) -> bool:
        """Find room for series of a pid; processes that move less may lose theirs."""
        room = self._own_share() * 9 // 10 - self._own_pool.series - tracked.series
        places = self._most_own - len(self._own)
        last = len(losers)
        while (room < 0 or places < 1) and last:
            loser = losers[last - 1]
            if not self._may_take(tracked, loser, now):
                return False
            last -= 1
            room += loser.own.series if loser.own else 0
            places += 1
        if room < 0 or places < 1:
            return False
        for loser in losers[last:]:
            self._give_up(loser, now)
            self.folded["process"] += 1
        del losers[last:]
        return True

    def _own_share(self) -> int:
        share = self.budget - self.budget // _NAMES_SHARE - self._other_pool.series
        return max(share, 0)

    def _is_short(self, waiting: list[tuple[_Tracked, Amounts]]) -> bool:
        need = sum(tracked.series for tracked, _ in waiting)
        most = self._own_share() * 9 // 10
        return len(self._own) + len(waiting) > self._most_own or self._own_pool.series + need > most

    def _losers(self, now: float) -> list[_Tracked]:
        """Processes with series of a pid; the last lose them first."""
        return sorted(self._own.values(), key=lambda t: (t.exited is not None, -t.lately(now)))

    def _may_take(self, tracked: _Tracked, loser: _Tracked, now: float) -> bool:
        if loser.exited is not None:
            return now - loser.exited >= _ENDED_LINGER_SECONDS
        held = now - loser.since >= _HOLD_SECONDS
        return held and tracked.lately(now) > 2 * loser.lately(now)

    def _make_room(self, now: float) -> None:
        """Bring the series of pids back under the budget."""
        if self._own_pool.series <= self._own_share():
            return
        for loser in reversed(self._losers(now)):
            if self._own_pool.series <= self._own_share() * 9 // 10:
                break
            self._give_up(loser, now)
            self.folded["process"] += 1

    def _give_up(self, tracked: _Tracked, now: float) -> None:
        """Take the series of its pid away: they join those that ended."""
        account = tracked.own
        if account is None:
            return
        tracked.own = None
        del self._own[account.owner]
        self._retired[account.owner] = now
        amounts = account.amounts
        account.clear()
        name = (account.owner.process, account.owner.unit)
        self._add_ended(self._sum(name, amounts, now), amounts, now)

    # Sums by name

    def _sum(self, name: Name, amounts: Mapping[int, Amount], now: float) -> _Sum:
        """The sum of a name, or that of the other processes if there is no room."""
        found = self._sums.get(name)
        if found is not None:
            return found
        share = self.budget // _NAMES_SHARE
        taken = self._names_pool.series + series_of(amounts)
        if taken > share or (taken > share * 3 // 4 and not self._came_before(name, now)):
            self._remember(name, now)
            self.folded["name"] += 1
            return self._other
        self._met.pop(name, None)
        made = self._sums[name] = self._new_sum(name, self._names_pool, _ERRORS_AN_OWNER)
        made.last = now
        return made

    def _came_before(self, name: Name, now: float) -> bool:
        return now - self._met.get(name, now) >= 1.0

    def _remember(self, name: Name, now: float) -> None:
        if len(self._met) >= _MET_NAMES:
            del self._met[next(iter(self._met))]
        self._met.setdefault(name, now)

    def _new_sum(self, name: Name, pool: _Pool, most_errors: int) -> _Sum:
        owner = Owner(name[0], "", name[1])
        growing, ended = (_Account(owner, pool, self.folded, most_errors) for _ in range(2))
        return _Sum(growing, ended)

    def _add_to_sum(self, tracked: _Tracked, growth: Amounts, now: float) -> None:
        if not growth:
            return
        if tracked.sum is None or tracked.sum.closed or tracked.sum is self._other:
            self._leave_sum(tracked)
            tracked.sum = self._sum((tracked.name, tracked.unit), tracked.amounts, now)
            tracked.sum.living += 1
            tracked.sum.came += now - tracked.sum.last >= 1.0 or not tracked.sum.came
        tracked.sum.growing.add(growth)
        tracked.sum.last = now

    def _leave_sum(self, tracked: _Tracked) -> None:
        if tracked.sum:
            tracked.sum.living -= 1
            tracked.sum = None

    def _add_ended(self, into: _Sum, amounts: Mapping[int, Amount], now: float) -> None:
        """Add amounts of series that end: the label must get a value that was not shown before."""
        if not amounts:
            return
        self._stamp = max(self._stamp + self._stamp_is_shown, int(self._epoch + now))
        self._stamp_is_shown = False
        into.ended.add(amounts)
        into.until = self._stamp
        into.last = now

    def _fold_names(self, now: float) -> None:
        """Sum names that have been idle, or for which the budget has become too small."""
        share = self.budget // _NAMES_SHARE
        ended = sorted(
            (each for each in self._sums.values() if not each.living),
            key=lambda each: (each.came > 1, each.last),
        )
        series = sum(each.series for each in ended if now - each.last >= _IDLE_SECONDS)
        storms = self.folded["name"] - self._refused >= _STORM_NAMES
        self._refused = self.folded["name"]
        for each in ended:
            idle = now - each.last
            leaves = idle >= _LONGEST_IDLE_SECONDS
            if idle >= _IDLE_SECONDS and not leaves:
                leaves = series > share // _IDLE_SHARE or self._names_pool.series > share * 3 // 4
            elif idle >= _SHORTEST_IDLE_SECONDS and not leaves:
                leaves = not storms and each.came < 2 and self._names_pool.series > share // 2
            if leaves:
                series -= each.series if idle >= _IDLE_SECONDS else 0
                self._fold(each, "ended_name", now)
        if self._names_pool.series > share:
            for each in sorted(self._sums.values(), key=attrgetter("last", "came")):
                if self._names_pool.series <= share * 9 // 10:
                    break
                self._fold(each, "name", now)
                owner = each.growing.owner
                self._remember((owner.process, owner.unit), now + _HOLD_SECONDS)

    def _fold(self, each: _Sum, rule: str, now: float) -> None:
        owner = each.growing.owner
        del self._sums[owner.process, owner.unit]
        each.closed = True
        for account in (each.growing, each.ended):
            amounts = account.amounts
            account.clear()
            self._add_ended(self._other, amounts, now)
        self.folded[rule] += 1

    # The end of a process

    def _end(self, tracked: _Tracked, now: float) -> None:
        if tracked.exited is None:
            tracked.exited = now
            self._ending[tracked.key] = tracked

    def _let_go(self, tracked: _Tracked, has_entries: bool, now: float) -> None:
        """Remove an ended process: first its entries in the maps, then its series."""
        ended = now - (tracked.exited or 0.0)
        if ended >= self._linger:
            self._give_up(tracked, now)
        if has_entries:
            if ended >= self._summed_linger:
                self._closed.add(tracked.key)
            return
        tracked.amounts = {}
        if not tracked.own:
            self._leave_sum(tracked)
            del self._tracked[tracked.key], self._ending[tracked.key]

    def _exits_without_counters(self, accounts: Accounts, now: float) -> list[ProcessKey]:
        """Ended processes of which the kernel side has a record but no counters.

        They wait too: the next reading may have counters of theirs.
        """
        idle = {
            key: self._idle_exits.get(key, now)
            for key, process in accounts.processes.items()
            if process.exited and key not in accounts.amounts
        }
        over = {key for key, since in idle.items() if now - since >= self._summed_linger}
        self._idle_exits = {key: since for key, since in idle.items() if key not in over}
        return list(over)
