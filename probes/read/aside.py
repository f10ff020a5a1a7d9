# SPDX-License-Identifier: GPL-2.0-only
"""Processes that have ended and were removed from the maps before the accounts are kept."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from fdscope.probes.schema.snapshot import NOTHING, Accounts, Amount, Process, ProcessKey

_GRACE_SECONDS = 0.5
"""After the end of a process: what is counted during a reading is in the next one."""


class Aside:
    """The amounts of these processes, until ``forget`` is called."""

    def __init__(self) -> None:
        self._amounts: Mapping[ProcessKey, Mapping[int, Amount]] = {}
        self._processes: Mapping[ProcessKey, Process] = {}
        self._ended: dict[ProcessKey, float] = {}
        """Processes that have ended and are in the maps, and when that was seen first."""

    def due(self, accounts: Accounts, now: float) -> list[ProcessKey]:
        """Keep those that an earlier call saw ended, as they are in this reading.

        Returns them: they must leave the maps before the next reading.
        """
        self._ended = {
            key: self._ended.get(key, now)
            for key, process in accounts.processes.items()
            if process.exited
        }
        over = [key for key, since in self._ended.items() if now - since >= _GRACE_SECONDS]
        amounts, processes = dict(self._amounts), dict(self._processes)
        for key in over:
            amounts[key] = _sum(amounts.get(key, {}), accounts.amounts.get(key, {}))
            processes[key] = accounts.processes[key]
            del self._ended[key]
        self._amounts, self._processes = amounts, processes
        return over

    def with_them(self, accounts: Accounts) -> Accounts:
        """A reading of the maps, and those that were set aside."""
        if not self._processes:
            return accounts
        amounts = {
            key: _sum(mine, accounts.amounts.get(key, {})) for key, mine in self._amounts.items()
        }
        return replace(
            accounts,
            amounts={**accounts.amounts, **amounts},
            processes={**accounts.processes, **self._processes},
        )

    def forget(self, processes: Collection[ProcessKey]) -> None:
        """Drop processes that the accounts have taken over."""
        if not self._processes or not processes:
            return
        gone = set(processes)
        self._amounts = {k: v for k, v in self._amounts.items() if k not in gone}
        self._processes = {k: v for k, v in self._processes.items() if k not in gone}


def _sum(one: Mapping[int, Amount], other: Mapping[int, Amount]) -> Mapping[int, Amount]:
    if not one or not other:
        return one or other
    return {
        code: one.get(code, NOTHING).plus(other.get(code, NOTHING)) for code in {**one, **other}
    }
