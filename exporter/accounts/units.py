# SPDX-License-Identifier: GPL-2.0-only
"""From a cgroup's id to its systemd unit or container, and to what its path says about it.

The unit of a cgroup is the container whose id is in its name, or in the name of the nearest cgroup
around it that has one; without any, the nearest systemd unit, its own name first. Where another
service manager runs in a cgroup (that of a user, or in a machine of nspawn or LXC), its units have
the name of that cgroup before their own: ``user@1000.service/a.service``. No cgroup has a ``/`` in
its name, so nobody can choose such a name. So the place of a cgroup follows from its name and the
place of its parent.
"""

import re
import time
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Generic, Protocol, TypeVar

from fdscope.probes.schema.snapshot import Cgroup, Process, ProcessKey
from fdscope.probes.text import printable

Key = TypeVar("Key")
Value = TypeVar("Value")

NO_UNIT = ""
"""The unit of the root cgroup, and of a cgroup outside of units."""
UNKNOWN_UNIT = "(unknown)"
"""The unit of a cgroup whose name could not be read; real units end in a suffix."""


class Runtime(Enum):
    """What runs a unit."""

    NONE = ""
    """Not known: a bare container id, or no unit."""
    SYSTEMD = "systemd"
    DOCKER = "docker"
    CONTAINERD = "containerd"
    CRI_O = "cri-o"
    PODMAN = "podman"
    NSPAWN = "nspawn"
    LXC = "lxc"
    LIBVIRT = "libvirt"


@dataclass(frozen=True, slots=True)
class Place:
    """What the path of a cgroup says: its unit, and whose it is."""

    unit: str
    runtime: Runtime = Runtime.NONE
    container: str = ""
    """The container's id of 64 digits, or the name of a machine of nspawn, LXC or libvirt."""
    pod: str = ""
    """The uid of the pod around it (Kubernetes), or the pod's id (Podman)."""
    user: str = ""
    """The uid of the user whose slice it is in."""
    inside: str = ""
    """What the names of units further in begin with: ``user@1000.service/``, or ""."""

    @property
    def is_container(self) -> bool:
        """True in a container with an id: the names of its own cgroups are no units."""
        return bool(self.unit) and not self.inside and "." not in self.unit


NOWHERE = Place(NO_UNIT)

_CONTAINER_ID = re.compile(rb"(?<![0-9a-f])([0-9a-f]{64})(?![0-9a-f])")
_SHORT = 12
"""Digits of a container's id in its unit."""
_RUNTIME = re.compile(
    rb"(?:^|[-:/])(docker|cri-containerd|nerdctl|crio|crio-conmon|libpod|libpod-conmon)[-:]$"
)
"""Before a container's id, in the names that runtimes give to cgroups."""
_RUNTIMES = {
    b"docker": Runtime.DOCKER,
    b"cri-containerd": Runtime.CONTAINERD,
    b"nerdctl": Runtime.CONTAINERD,
    b"crio": Runtime.CRI_O,
    b"crio-conmon": Runtime.CRI_O,
    b"libpod": Runtime.PODMAN,
    b"libpod-conmon": Runtime.PODMAN,
}
_PARENTS = {b"docker": Runtime.DOCKER, b"libpod_parent": Runtime.PODMAN}
"""Cgroups of the cgroupfs driver in which names of containers have no prefix."""
_KUBERNETES_POD = re.compile(
    rb"(?:^|-)pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?$"
)
"""The pods of files on the node have a hash for a uid: 32 digits without dashes."""
_PODMAN_POD = re.compile(rb"libpod_pod_([0-9a-f]{64})(?:\.slice)?$")
_USER_SLICE = re.compile(rb"user-([0-9]{1,10})\.slice")
_USER_MANAGER = re.compile(rb"user@([0-9]{1,10})\.service")
_MACHINE = re.compile(rb"systemd-nspawn@(.+)\.service|machine-(.+)\.scope|lxc\.payload\.(.+)")
_LXC_PARENTS = (b"lxc", b"lxc.payload")
_LIBVIRT = re.compile(r"(?:qemu|lxc|xen|bhyve|vz)-[0-9]+-.")
"""The machines that libvirt registers are named after its driver."""
_UNIT_SUFFIXES = (b".service", b".scope", b".socket", b".mount", b".swap")
_REMEMBERED = 65536
"""Most cgroups whose unit is kept: those looked up last, also removed ones."""
_RETRY_SECONDS = 5.0
"""Wait before the kernel is asked again about a living process."""


def _container(name: bytes) -> re.Match[bytes] | None:
    """The last container id in a name."""
    found = list(_CONTAINER_ID.finditer(name))
    return found[-1] if found else None


def place_in(outer: Place, name: bytes) -> Place:
    """The place of a cgroup of this name whose parent is at ``outer``."""
    if container := _container(name):
        return _in_container(outer, name, container)
    if outer.is_container:
        return outer
    if outer.unit == NO_UNIT and (place := _outside_of_units(outer, name)):
        return place
    if (machine := _machine(outer, name)) is not None:
        return machine
    if name.endswith(_UNIT_SUFFIXES):
        runtime = outer.runtime if outer.container else Runtime.SYSTEMD
        return replace(outer, unit=outer.inside + printable(name), runtime=runtime)
    return outer


def _in_container(outer: Place, name: bytes, found: re.Match[bytes]) -> Place:
    digits = found[1].decode()
    known = _RUNTIME.search(name[: found.start()])
    runtime = _RUNTIMES[known[1]] if known else Runtime.NONE
    is_outermost = not outer.container
    if is_outermost and not known and outer.unit == NO_UNIT:
        runtime = outer.runtime
    pod = outer.pod if is_outermost else ""
    podman_pod = _PODMAN_POD.search(name)
    if podman_pod or (runtime is Runtime.PODMAN and not known):
        return Place(digits[:_SHORT], Runtime.PODMAN, pod=digits, user=outer.user)
    return Place(digits[:_SHORT], runtime, digits, pod, outer.user)


def _outside_of_units(outer: Place, name: bytes) -> Place | None:
    """A slice of a user or a pod, the manager of a user, or a parent of containers."""
    if found := _USER_MANAGER.fullmatch(name):
        unit = name.decode()
        return Place(unit, Runtime.SYSTEMD, user=found[1].decode(), inside=f"{unit}/")
    if found := _USER_SLICE.fullmatch(name):
        return replace(outer, user=found[1].decode())
    if found := _KUBERNETES_POD.search(name):
        return replace(outer, pod=found[1].decode().replace("_", "-"))
    if name in _PARENTS:
        return replace(outer, runtime=_PARENTS[name])
    if name in _LXC_PARENTS:
        return replace(outer, runtime=Runtime.LXC)
    if outer.runtime is Runtime.LXC:
        return _new_machine(outer, f"lxc/{printable(name)}", printable(name), Runtime.LXC)
    return None


def _machine(outer: Place, name: bytes) -> Place | None:
    """A machine of nspawn, LXC or libvirt; None within another one, or for another name."""
    found = None if outer.container else _MACHINE.fullmatch(name)
    if found is None:
        return None
    unit = f"{outer.unit}/{printable(name)}" if outer.unit else printable(name)
    if found[3]:
        return _new_machine(outer, unit, printable(found[3]), Runtime.LXC)
    called = printable(_unescaped(found[1] or found[2]))
    runtime = Runtime.LIBVIRT if found[2] and _LIBVIRT.match(called) else Runtime.NSPAWN
    return _new_machine(outer, unit, called, runtime)


def _new_machine(outer: Place, unit: str, called: str, runtime: Runtime) -> Place:
    return Place(unit, runtime, called, user=outer.user, inside=f"{unit}/")


def _unescaped(name: bytes) -> bytes:
    r"""The name that systemd has escaped for a unit: ``\x2d`` for a dash, for instance."""
    return re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), name)


class Source(Protocol):
    """Reads names of cgroups: ``probes.read.cgroups.Cgroups``."""

    def take(self) -> list[Cgroup]:
        """The cgroups of processes that ended since the last call, and their parents."""

    def of_process(self, pid: int) -> Iterator[Cgroup]:
        """The cgroup of a living process and its parents, outward."""


class _Recent(Generic[Key, Value]):
    """A bounded table that drops entries that were not used lately."""

    def __init__(self, capacity: int) -> None:
        self._half = max(capacity // 2, 1)
        self._young: dict[Key, Value] = {}
        self._old: dict[Key, Value] = {}

    def get(self, key: Key) -> Value | None:
        value = self._young.get(key)
        if value is None and (value := self._old.get(key)) is not None:
            self.put(key, value)
        return value

    def put(self, key: Key, value: Value) -> None:
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[key] = value

    def __len__(self) -> int:
        return len(self._young) + len(self._old)


class Units:
    """Remembers the place of each cgroup, and reads the names of cgroups as processes appear."""

    def __init__(
        self,
        source: Source,
        clock: Callable[[], float] = time.monotonic,
        remembered: int = _REMEMBERED,
    ) -> None:
        self._source = source
        self._clock = clock
        self._places: _Recent[int, Place] = _Recent(remembered)
        self._names: _Recent[int, Cgroup] = _Recent(remembered)
        """Names of cgroups whose place is unknown because a parent's is."""
        self._of_units: _Recent[str, Place] = _Recent(remembered)
        """A place of each unit."""
        self._refused: dict[int, float] = {}
        """Cgroups whose name the kernel did not return, and when it was asked."""

    @property
    def remembered(self) -> int:
        """Number of cgroups whose unit is kept."""
        return len(self._places)

    def unit(self, cgroup_id: int) -> str:
        """The unit or container, ``NO_UNIT`` or ``UNKNOWN_UNIT``."""
        place = self._places.get(cgroup_id)
        return UNKNOWN_UNIT if place is None else place.unit

    def place_of(self, unit: str) -> Place:
        """What is known about a unit: of several cgroups of one name, that of no user's first."""
        return self._of_units.get(unit) or Place(unit)

    def meet(self, processes: Mapping[ProcessKey, Process]) -> None:
        """Find the units of these processes, before ``unit()`` is called for them."""
        self._learn(self._source.take())
        now = self._clock()
        self._refused = {
            cgroup: since for cgroup, since in self._refused.items() if now - since < _RETRY_SECONDS
        }
        asked = {process.cgroup_id for process in processes.values()} - self._refused.keys()
        missing = {cgroup for cgroup in asked if self._places.get(cgroup) is None}
        if not missing:
            return
        self._settle_all(missing)  # the missing parents may have been read since
        for key, process in processes.items():
            cgroup = process.cgroup_id
            if process.exited or cgroup not in missing:
                continue
            missing.remove(cgroup)
            if self._places.get(cgroup) is not None:
                continue
            way = list(self._way_out(key.tgid))
            self._learn(way)
            has_moved_on = way and way[0].id != cgroup
            if self._places.get(cgroup) is None and not has_moved_on:
                self._refused[cgroup] = now

    def _way_out(self, pid: int) -> Iterator[Cgroup]:
        """The cgroups of a living process, outward up to a known place."""
        for cgroup in self._source.of_process(pid):
            yield cgroup
            if self._places.get(cgroup.id) is not None:
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
        """Find the place of a cgroup from its name and its parents; not for ``unsettled``.

        A container is known by its own name: where a cgroup further out is missing, the place
        starts at the outermost container. Returns the cgroups whose place stays unknown for now.
        """
        inside: dict[int, bytes] = {}
        while (place := self._places.get(cgroup_id)) is None:
            cgroup = self._names.get(cgroup_id)
            if cgroup is None or cgroup_id in inside or cgroup_id in unsettled:
                return self._settle_containers(inside)
            inside[cgroup_id] = cgroup.name
            if not cgroup.parent:
                place = NOWHERE
                break
            cgroup_id = cgroup.parent
        self._put(inside, place)
        return ()

    def _settle_containers(self, inside: Mapping[int, bytes]) -> Collection[int]:
        """Put the places from the outermost container inward; return the cgroups around it."""
        cgroups = list(inside)
        while cgroups and not _container(inside[cgroups[-1]]):
            cgroups.pop()
        self._put({cgroup: inside[cgroup] for cgroup in cgroups}, NOWHERE)
        return inside.keys() - set(cgroups)

    def _put(self, inside: dict[int, bytes], place: Place) -> None:
        """Put the places of cgroups, from the innermost outward, in a cgroup at ``place``."""
        for inner in reversed(inside):
            place = place_in(place, inside[inner])
            self._places.put(inner, place)
            known = self._of_units.get(place.unit) if place.unit else NOWHERE
            if known is None or (known.user and not place.user):
                self._of_units.put(place.unit, place)
