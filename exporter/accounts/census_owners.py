# SPDX-License-Identifier: GPL-2.0-only
"""The processes and names that the census shows: a bounded set of series."""

from collections.abc import Callable, Iterator, Mapping

from fdscope.exporter.accounts.processes import Owner
from fdscope.exporter.catalog.model import OTHER
from fdscope.probes.read.census import ProcessFds
from fdscope.probes.schema.snapshot import ProcessKey

_NAMES_SHARE = 3
"""Sums by name get this fraction of the budget: 1 / n."""
_FULL = 1000
"""A full table of fds counts as much as so many fds."""


_LISTENER_SERIES = 3
"""What waits, how full the fullest queue is, and what was dropped."""
_QUEUE_SERIES, _DELETED_SERIES = 4, 2
"""Unread and unsent, their sums and the most; fds and bytes."""


def _weight(found: ProcessFds) -> float:
    full = found.total / found.limit if found.limit else 0.0
    return found.total + _FULL * min(full, 1.0)


def _series(found: ProcessFds) -> int:
    """Number of series that show a process, its limit and ratio included."""
    kinds = len(found.counts) + len(found.stdio) + 2 + 2 * bool(found.permission_groups)
    kinds += len(found.tcp) + _LISTENER_SERIES * (found.listening is not None)
    return kinds + sum(map(len, _held(found)))


def _held(found: ProcessFds) -> Iterator[set[object]]:
    """What the series of queues, deleted files and memfds of a process are told apart by."""
    for number in range(_QUEUE_SERIES):
        yield {("queue", number, fd_type) for fd_type in found.queues}
    for number in range(_DELETED_SERIES):
        yield {("deleted", number, device) for device in found.deleted}
    yield {"memfd"} if found.memfd_bytes else set()


class CensusOwners:
    """Chooses the processes that the census shows by pid, and the names that it shows.

    Those with most open fds, or with the fullest tables, come first; one that was shown counts
    twice, so that the choice is stable. The processes of further names are ``(other processes)``.
    """

    def __init__(self, most_own: int, owner_of: Callable[[ProcessFds], Owner]) -> None:
        """``owner_of`` gives the owner of what a process has counted, with a pid if it has one."""
        self._most_own = most_own
        self._owner_of = owner_of
        self._own: set[ProcessKey] = set()
        self._names: set[Owner] = set()
        self.shown: frozenset[Owner] = frozenset()
        """The owners of the last choice."""

    def choose(
        self, processes: Mapping[ProcessKey, ProcessFds], budget: int
    ) -> dict[ProcessKey, Owner]:
        """The owner of each process; all together have at most ``budget`` series."""
        found = {key: each for key, each in processes.items() if each.total}
        base = {key: self._owner_of(each) for key, each in found.items()}

        def rank(key: ProcessKey) -> float:
            shown = 2 if key in self._own else 1
            return -_weight(found[key]) * shown * (2 if base[key].pid else 1)

        room = budget - budget // _NAMES_SHARE
        own: set[ProcessKey] = set()
        for key in sorted(found, key=rank):
            room -= _series(found[key])
            if room < 0 or len(own) >= self._most_own:
                break
            own.add(key)
        self._own = own
        names = self._choose_names(
            {key: base[key]._replace(pid="") for key in found.keys() - own},
            found,
            budget // _NAMES_SHARE,
        )
        other = Owner(OTHER, "", "")
        owners = {key: base[key]._replace(pid=str(key.tgid)) for key in own}
        for key in found.keys() - own:
            summed = base[key]._replace(pid="")
            owners[key] = summed if summed in names else other
        self.shown = frozenset(owners.values())
        return owners

    def _choose_names(
        self,
        summed: Mapping[ProcessKey, Owner],
        found: Mapping[ProcessKey, ProcessFds],
        budget: int,
    ) -> set[Owner]:
        weights: dict[Owner, float] = {}
        kinds: dict[Owner, set[object]] = {}
        for key, owner in summed.items():
            each = found[key]
            weights[owner] = weights.get(owner, 0.0) + _weight(each)
            of_name = kinds.setdefault(owner, set())
            of_name.update(each.counts, each.stdio.items(), (("tcp", state) for state in each.tcp))
            of_name.update(*_held(each))
            if each.listening:
                of_name.update(("listen", n) for n in range(_LISTENER_SERIES))
        names: set[Owner] = set()
        room = budget
        for owner in sorted(
            weights, key=lambda owner: -weights[owner] * (2 if owner in self._names else 1)
        ):
            room -= len(kinds[owner]) + 3
            if room < 0:
                break
            names.add(owner)
        self._names = names
        return names
