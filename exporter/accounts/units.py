# SPDX-License-Identifier: GPL-2.0-only
"""From a cgroup's id to its systemd unit or container.

The unit of a cgroup is the container whose id is in its name, or in the name of the nearest cgroup
around it that has one; without any, the nearest systemd unit, its own name first. So the unit of a
cgroup follows from its name and the unit of its parent.
"""

import re
import time
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

from fdscope.probes.schema.snapshot import Cgroup, Process, ProcessKey
from fdscope.probes.text import printable

Value = TypeVar("Value")

NO_UNIT = ""
"""The unit of the root cgroup, and of a cgroup outside of units."""
UNKNOWN_UNIT = "(unknown)"
"""The unit of a cgroup whose name could not be read; real units end in a suffix."""

_CONTAINER_ID = re.compile(rb"(?<![0-9a-f])([0-9a-f]{12})[0-9a-f]{52}(?![0-9a-f])")
_UNIT_SUFFIXES = (b".service", b".scope", b".socket", b".mount", b".swap")
_REMEMBERED = 65536
"""Most cgroups whose unit is kept: those looked up last, also removed ones."""
_RETRY_SECONDS = 5.0
"""Wait before the kernel is asked again about a living process."""


def _container(name: bytes) -> str:
    """The first 12 digits of the last container id in a name; "" if there is none."""
    found = _CONTAINER_ID.findall(name)
    return found[-1].decode() if found else ""


def unit_in(outer: str, name: bytes) -> str:
    """The unit of a cgroup of this name whose parent's unit is ``outer``."""
    if container := _container(name):
        return container
    in_container = outer and "." not in outer
    return printable(name) if not in_container and name.endswith(_UNIT_SUFFIXES) else outer


class Source(Protocol):
    """Reads names of cgroups: ``probes.read.cgroups.Cgroups``."""

    def take(self) -> list[Cgroup]:
        """The cgroups of processes that ended since the last call, and their parents."""

    def of_process(self, pid: int) -> Iterator[Cgroup]:
        """The cgroup of a living process and its parents, outward."""


class _Recent(Generic[Value]):
    """A bounded table that drops entries that were not used lately."""

    def __init__(self, capacity: int) -> None:
        self._half = max(capacity // 2, 1)
        self._young: dict[int, Value] = {}
        self._old: dict[int, Value] = {}

    def get(self, key: int) -> Value | None:
        value = self._young.get(key)
        if value is None and (value := self._old.get(key)) is not None:
            self.put(key, value)
        return value

    def put(self, key: int, value: Value) -> None:
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[key] = value

    def __len__(self) -> int:
        return len(self._young) + len(self._old)


class Units:
    """Remembers the unit of each cgroup, and reads the names of cgroups as processes appear."""

    def __init__(
        self,
        source: Source,
        clock: Callable[[], float] = time.monotonic,
        remembered: int = _REMEMBERED,
    ) -> None:
        self._source = source
        self._clock = clock
        self._units: _Recent[str] = _Recent(remembered)
        self._names: _Recent[Cgroup] = _Recent(remembered)
        """Names of cgroups whose unit is unknown because a parent's is."""
        self._refused: dict[int, float] = {}
        """Cgroups whose name the kernel did not return, and when it was asked."""

    @property
    def remembered(self) -> int:
        """Number of cgroups whose unit is kept."""
        return len(self._units)

    def unit(self, cgroup_id: int) -> str:
        """The unit or container, ``NO_UNIT`` or ``UNKNOWN_UNIT``."""
        unit = self._units.get(cgroup_id)
        return UNKNOWN_UNIT if unit is None else unit

    def meet(self, processes: Mapping[ProcessKey, Process]) -> None:
        """Find the units of these processes, before ``unit()`` is called for them."""
        self._learn(self._source.take())
        now = self._clock()
        self._refused = {
            cgroup: since for cgroup, since in self._refused.items() if now - since < _RETRY_SECONDS
        }
        asked = {process.cgroup_id for process in processes.values()} - self._refused.keys()
        missing = {cgroup for cgroup in asked if self._units.get(cgroup) is None}
        if not missing:
            return
        self._settle_all(missing)  # the missing parents may have been read since
        for key, process in processes.items():
            cgroup = process.cgroup_id
            if process.exited or cgroup not in missing:
                continue
            missing.remove(cgroup)
            if self._units.get(cgroup) is not None:
                continue
            way = list(self._way_out(key.tgid))
            self._learn(way)
            has_moved_on = way and way[0].id != cgroup
            if self._units.get(cgroup) is None and not has_moved_on:
                self._refused[cgroup] = now

    def _way_out(self, pid: int) -> Iterator[Cgroup]:
        """The cgroups of a living process, outward up to a container or a known unit."""
        for cgroup in self._source.of_process(pid):
            yield cgroup
            if _container(cgroup.name) or self._units.get(cgroup.id) is not None:
                return

    def _learn(self, cgroups: Iterable[Cgroup]) -> None:
        told = list(cgroups)
        for cgroup in told:
            self._names.put(cgroup.id, cgroup)
        self._settle_all(cgroup.id for cgroup in told)

    def _settle_all(self, cgroups: Iterable[int]) -> None:
        unsettled: set[int] = set()
        for cgroup in cgroups:
            unsettled.update(self._settle(cgroup, unsettled))

    def _settle(self, cgroup_id: int, unsettled: Container[int]) -> Collection[int]:
        """Find the unit of a cgroup from its name and its parents; not for ``unsettled``.

        Returns the cgroups, from this one outward, whose unit stays unknown for now.
        """
        inside: dict[int, bytes] = {}
        while (unit := self._units.get(cgroup_id)) is None:
            cgroup = self._names.get(cgroup_id)
            if cgroup is None or cgroup_id in inside or cgroup_id in unsettled:
                return inside.keys()
            inside[cgroup_id] = cgroup.name
            if not cgroup.parent or _container(cgroup.name):
                unit = NO_UNIT
                break
            cgroup_id = cgroup.parent
        for inner, name in reversed(inside.items()):
            unit = unit_in(unit, name)
            self._units.put(inner, unit)
        return ()
