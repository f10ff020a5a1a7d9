# SPDX-License-Identifier: GPL-2.0-only
"""The names of the units that have series: from the paths of cgroups, and from their runtimes."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from fdscope.exporter.accounts.units import Place
from fdscope.exporter.containers.names import Names, Query, Result

_AGAIN_SECONDS = 300.0
"""A container can get another name."""
_FIRST_WAIT_SECONDS = 5.0
"""Wait before a container without names is looked for again; it doubles each time."""
_QUESTIONS = 64
"""Most questions of one scrape."""
_ID_DIGITS = 64


class Reader(Protocol):
    """Looks for names: ``containers.reader.Reader``."""

    def ask(self, query: Query) -> bool:
        """Ask for the names of a container; False if it cannot be asked now."""

    def answers(self) -> Iterable[tuple[str, Result, Names]]:
        """Ids of containers, and what was found, since the last call."""


class UnitInfo(NamedTuple):
    """The labels of a unit, in the catalog's order."""

    unit: str
    runtime: str
    container: str
    container_id: str
    image: str
    pod: str
    pod_uid: str
    namespace: str
    workload: str
    compose_project: str
    compose_service: str
    user: str


@dataclass(slots=True)
class _Known:
    names: Names
    next: float
    """When to ask again."""
    wait: float = _FIRST_WAIT_SECONDS


class UnitNames:
    """Keeps the names of the units that have series, and no others."""

    def __init__(self, place_of: Callable[[str], Place], reader: Reader | None) -> None:
        """``place_of`` a unit; without a reader, names come from the paths of cgroups alone."""
        self._place_of = place_of
        self._reader = reader
        self._known: dict[str, _Known] = {}
        self.lookups: Counter[str] = Counter()
        """Number of answers by their result."""
        self.left_out = 0
        """Number of units that have series and no names, for lack of room."""
        self._shown: tuple[str, ...] = ()

    def update(self, units: Iterable[str], room: int, now: float) -> Iterator[UnitInfo]:
        """The names of these units, of at most ``room``: those shown before, then containers."""
        self._take_answers(now)
        places = {unit: self._place_of(unit) for unit in units}
        before = set(self._shown)
        ranked = sorted(
            places, key=lambda unit: (unit not in before, not places[unit].container, unit)
        )
        self._shown = tuple(ranked[: max(room, 0)])
        self.left_out = len(ranked) - len(self._shown)
        self._ask([places[unit] for unit in self._shown], now)
        return (self._info(places[unit]) for unit in self._shown)

    @property
    def shown(self) -> int:
        """Number of units whose names were shown last."""
        return len(self._shown)

    def _take_answers(self, now: float) -> None:
        for container_id, result, names in self._reader.answers() if self._reader else ():
            self.lookups[result.value] += 1
            known = self._known.get(container_id)
            if known is None:
                continue  # its series have ended meanwhile
            if result is Result.FOUND:
                self._known[container_id] = _Known(names, now + _AGAIN_SECONDS)
            else:
                known.next = now + known.wait
                known.wait = min(2 * known.wait, _AGAIN_SECONDS)

    def _ask(self, places: Iterable[Place], now: float) -> None:
        if self._reader is None:
            return
        wanted = {place.container: place for place in places if len(place.container) == _ID_DIGITS}
        self._known = {each: known for each, known in self._known.items() if each in wanted}
        due = [
            place
            for container_id, place in wanted.items()
            if container_id not in self._known or self._known[container_id].next <= now
        ]
        for place in due[:_QUESTIONS]:
            query = Query(place.container, place.runtime.value, place.pod, place.user)
            if not self._reader.ask(query):
                return
            known = self._known.setdefault(place.container, _Known(Names(), now))
            known.next = now + _AGAIN_SECONDS  # unless an answer comes

    def _info(self, place: Place) -> UnitInfo:
        known = self._known.get(place.container)
        names = known.names if known else Names()
        is_machine = place.container and not place.is_container
        return UnitInfo(
            unit=place.unit,
            runtime=place.runtime.value or names.runtime,
            container=place.container if is_machine else names.container,
            container_id="" if is_machine else place.container,
            image=names.image,
            pod=names.pod,
            pod_uid=place.pod,
            namespace=names.namespace,
            workload=names.workload,
            compose_project=names.compose_project,
            compose_service=names.compose_service,
            user=place.user,
        )
