# SPDX-License-Identifier: GPL-2.0-only
"""From a cgroup's id to the systemd unit or container that it stands for.

A cgroup stands for the container whose id is in its name, or in the name of the nearest cgroup
around it that has one; without any, for the nearest systemd unit, its own name first. So the unit
of a cgroup follows from its name and the unit of the cgroup that it is in.
"""

import re
import time
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

from fdscope.probes.schema.snapshot import Cgroup, Process, ProcessKey
from fdscope.probes.text import printable

Value = TypeVar("Value")

NO_UNIT = ""
"""Of the root cgroup, and of one that is in no unit."""
UNKNOWN_UNIT = "(unknown)"
"""Of a cgroup whose name could not be told. No unit has such a name: it ends with no suffix."""

_CONTAINER_ID = re.compile(rb"(?<![0-9a-f])([0-9a-f]{12})[0-9a-f]{52}(?![0-9a-f])")
_UNIT_SUFFIXES = (b".service", b".scope", b".socket", b".mount", b".swap")
_REMEMBERED = 65536
"""Cgroups whose unit is kept; those looked up last stay, also when they have been removed."""
_RETRY_SECONDS = 5.0
"""After which the kernel is asked once more for a living process that it did not tell."""


def _container(name: bytes) -> str:
    """The first 12 digits of the last container id in a name, or ""."""
    found = _CONTAINER_ID.findall(name)
    return found[-1].decode() if found else ""


def unit_in(outer: str, name: bytes) -> str:
    """The unit of a cgroup of this name, in one whose unit is ``outer``."""
    if container := _container(name):
        return container
    in_container = outer and "." not in outer
    return printable(name) if not in_container and name.endswith(_UNIT_SUFFIXES) else outer


class Source(Protocol):
    """Tells names of cgroups: ``probes.read.cgroups.Cgroups``."""

    def take(self) -> list[Cgroup]:
        """The cgroups of processes that ended since the last call, and those around them."""

    def of_process(self, pid: int) -> Iterator[Cgroup]:
        """The cgroup of a living process and those around it, outward."""


class _Recent(Generic[Value]):
    """A bounded table that forgets what was not looked up for the longest time."""

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


class Units:
    """Remembers the unit of each cgroup, and learns the names of cgroups as it meets processes."""

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
        """Of cgroups whose unit is not known yet, for a cgroup around them is not."""
        self._refused: dict[int, float] = {}
        """Cgroups that were asked for in vain, and when."""

    def unit(self, cgroup_id: int) -> str:
        """The unit or container, ``NO_UNIT`` or ``UNKNOWN_UNIT``."""
        unit = self._units.get(cgroup_id)
        return UNKNOWN_UNIT if unit is None else unit

    def meet(self, processes: Mapping[ProcessKey, Process]) -> None:
        """Learn the units of these processes, before they are asked for."""
        self._learn(self._source.take())
        now = self._clock()
        self._refused = {
            cgroup: since for cgroup, since in self._refused.items() if now - since < _RETRY_SECONDS
        }
        asked = {process.cgroup_id for process in processes.values()} - self._refused.keys()
        missing = {cgroup for cgroup in asked if self._units.get(cgroup) is None}
        if not missing:
            return
        self._settle_all(missing)  # what lacked for the names that are known may have come since
        for key, process in processes.items():
            cgroup = process.cgroup_id
            if process.exited or cgroup not in missing:
                continue
            missing.remove(cgroup)
            if self._units.get(cgroup) is None:
                self._learn(self._way_out(key.tgid))
            if self._units.get(cgroup) is None:
                self._refused[cgroup] = now

    def _way_out(self, pid: int) -> Iterator[Cgroup]:
        """The cgroups of a living process, as far out as is needed."""
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
        """Find the unit of a cgroup from its name and those around it; in vain for ``unsettled``.

        Returns the cgroups, from this one outward, whose unit cannot be told for now.
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
