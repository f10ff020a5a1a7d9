# SPDX-License-Identifier: GPL-2.0-only
"""Who did what: from the amounts of each process to a bounded set of series.

A process that a snapshot finds alive gets series of its own pid. One that lived and died between
two snapshots is summed under its name, without a pid, and so is every further one past the cap.

When a process with its own series has ended, its amounts must stay in the sums but may not be
added to a series that ``rate()`` watches: there they would count a second time. So the ended
processes of a name share a series with the label ``ended``, whose value changes whenever the sum
grows: for Prometheus each is a new series, and only the sum over all is continuous.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from exporter.owners import OTHER, UNATTRIBUTED, UNKNOWN, Owner, process_name
from exporter.units import UNKNOWN_UNIT
from probes.snapshot import NOTHING, Accounts, Amount, Process, ProcessKey

Amounts = dict[int, Amount]
"""Slot code to amount, as in ``Snapshot``."""

_MAX_NAMES = 4000
_SUMMED_LINGER_SECONDS = 0.5
"""For what was counted while the last reading went on; there is no series that must stay."""


@dataclass(slots=True)
class _Tracked:
    owner: Owner
    amounts: Mapping[int, Amount] = field(default_factory=dict)
    before: Mapping[int, Amount] = field(default_factory=dict)
    """What was counted under an earlier name or unit."""
    exited: float | None = None

    def own(self) -> Mapping[int, Amount]:
        if not self.before:
            return self.amounts
        differences = (
            (code, amount.minus(self.before.get(code, NOTHING)))
            for code, amount in self.amounts.items()
        )
        return {code: amount for code, amount in differences if amount != NOTHING}


@dataclass(slots=True)
class _Ended:
    amounts: Amounts = field(default_factory=dict)
    until: int = 0


def _add(amounts: Amounts, more: Mapping[int, Amount]) -> None:
    for code, amount in more.items():
        amounts[code] = amounts.get(code, NOTHING).plus(amount)


class Processes:
    """Keeps the accounts of all processes, alive and ended, from snapshot to snapshot.

    ``unit`` gives the unit of a cgroup id, ``alive`` tells whether a tgid still exists;
    it is asked only of a process of which the kernel side has no record. Series of an own pid
    stay ``linger_seconds`` after the process has ended.
    """

    def __init__(
        self,
        max_series: int,
        unit: Callable[[int], str],
        alive: Callable[[int], bool],
        linger_seconds: float = 30.0,
    ) -> None:
        self._max_series = max_series
        self._unit = unit
        self._alive = alive
        self._linger = linger_seconds
        self._summed_linger = min(linger_seconds, _SUMMED_LINGER_SECONDS)
        self._tracked: dict[ProcessKey, _Tracked] = {}
        self._own: set[Owner] = set()
        self._retired: dict[Owner, float] = {}
        """Owners of a pid whose series ended, and when: ``rate()`` may still look back on them."""
        self._finished: dict[Owner, Amounts] = {}
        self._ended: dict[Owner, _Ended] = {}
        self._idle: set[ProcessKey] = set()
        self._idle_exits: dict[ProcessKey, float] = {}

    def update(self, accounts: Accounts, now: float, promote: bool = True) -> list[ProcessKey]:
        """Take a reading in, at ``now`` seconds since 1970.

        Without ``promote`` only of the dead and of what has its series: what is new and alive, also
        a new name, waits for the next scrape.

        Returns the processes whose accounts are closed: their map entries must be removed before
        the next reading, else they count twice.
        """
        for key, amounts in accounts.amounts.items():
            self._take(key, amounts, accounts.processes.get(key), now, promote)
        closed = [
            key
            for key, tracked in self._tracked.items()
            if tracked.exited is not None
            and now - tracked.exited >= (self._linger if tracked.owner.pid else self._summed_linger)
        ]
        for key in closed:
            self._close(self._tracked.pop(key), now)
        if promote:
            self._retired = {
                owner: since for owner, since in self._retired.items() if now - since < self._linger
            }
        return closed + self._exits_without_counters(accounts, now)

    def _owners(self) -> Iterator[tuple[Owner, Mapping[int, Amount]]]:
        """Every series owner with its amounts; an owner may come more than once."""
        for tracked in self._tracked.values():
            yield tracked.owner, tracked.own()
        yield from self._finished.items()
        for owner, ended in self._ended.items():
            yield owner._replace(ended=str(ended.until)), ended.amounts

    def totals(
        self, overflow: Mapping[int, Amount] | None = None
    ) -> dict[Owner, Mapping[int, Amount]]:
        """Every series owner once, with its amounts: the sum over all is all that was counted.

        ``overflow`` is what the last snapshot has of it.
        """
        totals: dict[Owner, Mapping[int, Amount]] = {}
        if overflow:
            totals[Owner(UNATTRIBUTED, "", "")] = overflow
        for owner, amounts in self._owners():
            if owner in totals:
                merged = dict(totals[owner])
                _add(merged, amounts)
                totals[owner] = merged
            else:
                totals[owner] = amounts
        return totals

    def owners_of(self, found: Mapping[ProcessKey, Process]) -> dict[ProcessKey, Owner]:
        """The owner of each process, also of those of which nothing was counted.

        These get series of their pid too while there is room, and keep it.
        """
        owners = {}
        idle: set[ProcessKey] = set()
        for key in sorted(found, key=lambda key: key not in self._idle):
            tracked, process = self._tracked.get(key), found[key]
            if tracked is not None:
                owners[key] = tracked.owner
                continue
            name, unit = process_name(process.name), self._unit(process.cgroup_id)
            has_room = len(self._own) + len(idle) < self._max_series
            if has_room:
                idle.add(key)
            owners[key] = Owner(name, str(key.tgid) if has_room else "", unit)
        self._idle = idle
        return owners

    def counts(self) -> dict[str, int]:
        """Number of tracked processes with series of their own pid, and of those without."""
        return {"own": len(self._own), "summed": len(self._tracked) - len(self._own)}

    def _take(
        self,
        key: ProcessKey,
        amounts: Mapping[int, Amount],
        process: Process | None,
        now: float,
        promote: bool,
    ) -> None:
        gone = process.exited if process else not self._alive(key.tgid)
        if not (gone or promote or key in self._tracked):
            return
        name = process_name(process.name) if process else UNKNOWN
        unit = self._unit(process.cgroup_id) if process else UNKNOWN_UNIT
        tracked = self._tracked.get(key)
        if tracked is None:
            tracked = self._tracked[key] = _Tracked(self._new_owner(key, name, unit, gone))
        elif (gone or promote) and (tracked.owner.process, tracked.owner.unit) != (name, unit):
            # What was done so far stays with the earlier name or unit.
            self._close(tracked, now)
            tracked.before = tracked.amounts
            tracked.owner = self._new_owner(key, name, unit, gone)
        tracked.amounts = amounts
        if gone and tracked.exited is None:
            tracked.exited = now

    def _new_owner(self, key: ProcessKey, name: str, unit: str, gone: bool) -> Owner:
        own = Owner(name, str(key.tgid), unit)
        # An earlier process of that pid and name may still have its series, or had it just now.
        used = own in self._own or own in self._retired
        if gone or name == UNKNOWN or used or len(self._own) >= self._max_series:
            return self._sum_owner(name, unit)
        self._own.add(own)
        return own

    def _sum_owner(self, name: str, unit: str) -> Owner:
        owner = Owner(name, "", unit)
        if owner not in self._finished and len(self._finished) >= _MAX_NAMES:
            owner = Owner(OTHER, "", "")
        self._finished.setdefault(owner, {})
        return owner

    def _close(self, tracked: _Tracked, now: float) -> None:
        owner = tracked.owner
        if not owner.pid:
            _add(self._finished[owner], tracked.own())
            return
        self._own.remove(owner)
        self._retired[owner] = now
        ended = self._ended.setdefault(self._sum_owner(owner.process, owner.unit), _Ended())
        _add(ended.amounts, tracked.own())
        ended.until = max(ended.until + 1, int(now))

    def _exits_without_counters(self, accounts: Accounts, now: float) -> list[ProcessKey]:
        """Ended processes that are known to the kernel side but have no counters.

        They wait too: counters that a reading does not have yet may come with the next.
        """
        idle = {
            key: self._idle_exits.get(key, now)
            for key, process in accounts.processes.items()
            if process.exited and key not in accounts.amounts
        }
        over = [key for key, since in idle.items() if now - since >= self._summed_linger]
        self._idle_exits = {key: since for key, since in idle.items() if key not in over}
        return over
