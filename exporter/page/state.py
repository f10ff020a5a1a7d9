# SPDX-License-Identifier: GPL-2.0-only
"""The state of the page, from one reading or two.

The fields are the keys of the JSON that ``page/static`` reads.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from heapq import nlargest
from pathlib import Path

from fdscope.exporter.catalog import Metric, fds, health, layers, storage
from fdscope.exporter.catalog.model import OTHER
from fdscope.exporter.page.sums import ENDED_PID, Changes, Key, Reading, changes
from fdscope.probes.schema.taxonomy import FdType, Scope

FLOW_PROCESSES = 8
"""Names of processes in the picture; the others are summed."""
TABLE_PROCESSES = 12
"""Rows of the table of processes; each fd type gets at least a third of that."""
MOST_DEVICES = 8
WHOLE_SECONDS = 0.5
"""A shorter time than this gives no rate."""

_SOCKETS = frozenset(t.label for t in FdType if t.is_socket)
_INTERNET = frozenset(t.label for t in FdType if t.is_internet)
_FILESYSTEMS = Path("/proc/filesystems")

Both = tuple[float, float]
"""Bytes read or received, and bytes written or sent."""

Scaled = Callable[[float], int]
"""Bytes of the whole time to those of a picture: all of them, or per second."""


@dataclass(frozen=True, slots=True)
class Flow:
    """What a process moved through one door on one fd type."""

    process: str
    door: str
    fd_type: str
    read: int
    written: int


@dataclass(frozen=True, slots=True)
class Behind:
    """What lies behind files of a type: a protocol or a filesystem."""

    fd_type: str
    name: str
    device: str
    """``loopback``, ``network``, ``disk``, or empty."""
    read: int
    written: int


@dataclass(frozen=True, slots=True)
class Device:
    """A network interface or a block device."""

    device: str
    kind: str
    read: int
    written: int


@dataclass(frozen=True, slots=True)
class Process:
    """A row of the table of processes."""

    process: str
    pid: str
    unit: str
    open: int | None
    """Open fds; None if the census has not seen the process."""
    read: Mapping[str, int]
    """By fd type."""
    written: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Balance:
    """Both sides of one equation of the ledger."""

    fd_type: str
    direction: str
    doors: Mapping[str, int]
    socket: int
    kernel: int
    blind: int
    residual: int


@dataclass(frozen=True, slots=True)
class Picture:
    """All that the page draws: in bytes, or in bytes per second."""

    flows: list[Flow]
    behind: list[Behind]
    devices: list[Device]
    processes: list[Process]
    ledger: list[Balance]


@dataclass(frozen=True, slots=True)
class State:
    """The whole state of the page."""

    seconds: float
    """Time between the two readings; 0 with one."""
    readable: bool
    """False if the maps could not be read."""
    sees_sockets: bool
    rate: Picture | None
    """In bytes per second; None without an earlier reading."""
    total: Picture
    lost: Mapping[str, float]
    """Lost updates by reason."""
    open: Mapping[str, float]
    """Open fds by type."""


def state(now: Reading, before: Reading | None, on_disk: frozenset[str]) -> State:
    """The state of the page; ``on_disk``: the types of filesystem on a block device."""
    seconds = now.at - before.at if before else 0.0
    return State(
        seconds=round(seconds, 2),
        readable=layers.FILE_READ_BYTES in now.sums,
        sees_sockets=bool(now.sums.get(layers.LEDGER_RESIDUAL_BYTES)),
        rate=_picture(now, before, seconds, on_disk) if seconds >= WHOLE_SECONDS else None,
        total=_picture(now, None, 1.0, on_disk),
        lost={reason: n for (reason,), n in now.by(health.LOST_UPDATES, ["reason"]).items()},
        open={fd_type: n for (fd_type,), n in now.by(fds.OPEN_FDS, ["fd_type"]).items() if n},
    )


def disk_filesystems(listing: Path = _FILESYSTEMS) -> frozenset[str]:
    """Types of filesystem that need a block device, and those on top of others."""
    try:
        lines = listing.read_text().splitlines()
    except OSError:
        lines = []
    needing = {line.strip() for line in lines if not line.startswith("nodev")}
    return frozenset(needing | {"overlay", "btrfs", "zfs"})


def _picture(
    now: Reading, before: Reading | None, seconds: float, on_disk: frozenset[str]
) -> Picture:
    grown = partial(changes, now=now, before=before)

    def scaled(count: float) -> int:
        return round(count / seconds)

    return Picture(
        flows=_flows(grown, scaled),
        behind=[*_protocols(grown, scaled), *_filesystems(grown, scaled, on_disk)],
        devices=_devices(grown, scaled),
        processes=_processes(grown, scaled, now),
        ledger=_ledger(grown, scaled),
    )


def _both(read: Mapping[Key, float], written: Mapping[Key, float]) -> dict[Key, Both]:
    keys = dict.fromkeys((*read, *written))
    return {key: (float(read.get(key, 0)), float(written.get(key, 0))) for key in keys}


def _pair(grown: Changes, read: Metric, written: Metric, labels: Iterable[str]) -> dict[Key, Both]:
    names = tuple(labels)
    return _both(grown(read, names), grown(written, names))


def _files(grown: Changes, *labels: str) -> dict[Key, Both]:
    return _pair(grown, layers.FILE_READ_BYTES, layers.FILE_WRITTEN_BYTES, labels)


def _flows(grown: Changes, scaled: Scaled) -> list[Flow]:
    """Process, door and fd type; by name, because only the sum over a name outlives a process."""
    paths = _files(grown, "process", "fd_type", "door")
    of_name: dict[str, float] = {}
    for (process, *_), amounts in paths.items():
        of_name[process] = of_name.get(process, 0) + sum(amounts)
    shown = set(nlargest(FLOW_PROCESSES, of_name, key=lambda name: of_name[name]))
    flows: dict[Key, list[float]] = {}
    for (process, fd_type, door), (read, written) in paths.items():
        flow = flows.setdefault((process if process in shown else OTHER, fd_type, door), [0.0, 0.0])
        flow[0] += read
        flow[1] += written
    return [
        Flow(process, door, fd_type, scaled(read), scaled(written))
        for (process, fd_type, door), (read, written) in sorted(flows.items())
    ]


def protocol(fd_type: str, scope: str) -> str:
    """Name of a protocol, with the scope of its peer if it can have a remote one."""
    if scope in (Scope.LOOPBACK.label, Scope.REMOTE.label):
        return f"{fd_type} {scope}"
    return f"{fd_type}, peer unknown" if fd_type in _INTERNET else fd_type


def _protocols(grown: Changes, scaled: Scaled) -> Iterator[Behind]:
    """Bytes at the socket layer, by protocol and scope of the peer."""
    ways = {Scope.LOOPBACK.label: "loopback", Scope.REMOTE.label: "network"}
    found = _pair(
        grown, layers.SOCKET_RECEIVED_BYTES, layers.SOCKET_SENT_BYTES, ("fd_type", "scope")
    )
    for (fd_type, scope), (read, written) in sorted(found.items()):
        name, device = protocol(fd_type, scope), ways.get(scope, "")
        yield Behind(fd_type, name, device, scaled(read), scaled(written))


def _filesystems(grown: Changes, scaled: Scaled, on_disk: frozenset[str]) -> Iterator[Behind]:
    found = _pair(
        grown, storage.FILESYSTEM_READ_BYTES, storage.FILESYSTEM_WRITTEN_BYTES,
        ("filesystem", "fd_type"),
    )  # fmt: skip
    for (filesystem, fd_type), (read, written) in sorted(found.items()):
        if fd_type not in _SOCKETS:
            device = "disk" if filesystem in on_disk else ""
            yield Behind(fd_type, filesystem, device, scaled(read), scaled(written))


def _devices(grown: Changes, scaled: Scaled) -> list[Device]:
    network = _pair(
        grown, storage.NETWORK_RECEIVED_BYTES, storage.NETWORK_SENT_BYTES, ("device", "kind")
    )
    block = _pair(grown, storage.BLOCK_READ_BYTES, storage.BLOCK_WRITTEN_BYTES, ("device",))
    found = [*network.items(), *(((name, "block"), amounts) for (name,), amounts in block.items())]
    return [
        Device(device, kind, scaled(read), scaled(written))
        for (device, kind), (read, written) in nlargest(MOST_DEVICES, found, lambda d: sum(d[1]))
    ]


def _processes(grown: Changes, scaled: Scaled, now: Reading) -> list[Process]:
    """The processes that moved most, over all fd types and in each of them."""
    open_fds = now.by(fds.OPEN_FDS, ("process", "pid", "unit"))
    types: dict[Key, dict[str, Both]] = {}
    for (process, pid, unit, fd_type), amounts in _files(
        grown, "process", "pid", "unit", "fd_type"
    ).items():
        if pid != ENDED_PID:
            types.setdefault((process, pid, unit), {})[fd_type] = amounts
    ranks = {key: sum(map(sum, by_type.values())) for key, by_type in types.items()}
    shown = set(nlargest(TABLE_PROCESSES, ranks, key=lambda key: ranks[key]))
    for fd_type in {name for by_type in types.values() for name in by_type}:
        users = [(sum(by_type.get(fd_type, ())), key) for key, by_type in types.items()]
        shown.update(key for amount, key in nlargest(TABLE_PROCESSES // 3, users) if amount)
    return [
        Process(
            process=key[0],
            pid=key[1],
            unit=key[2],
            open=int(open_fds[key]) if key in open_fds else None,
            read={name: scaled(read) for name, (read, _) in types[key].items()},
            written={name: scaled(written) for name, (_, written) in types[key].items()},
        )
        for key in sorted(shown, key=lambda key: -ranks[key])
    ]


def _ledger(grown: Changes, scaled: Scaled) -> list[Balance]:
    sides = ("fd_type", "direction")
    socket, kernel, blind, residual = (
        grown(metric, sides)
        for metric in (
            layers.LEDGER_SOCKET_BYTES,
            layers.LEDGER_KERNEL_BYTES,
            layers.LEDGER_BLIND_BYTES,
            layers.LEDGER_RESIDUAL_BYTES,
        )
    )
    doors: dict[Key, dict[str, int]] = {}
    for (fd_type, direction, door), value in grown(
        layers.LEDGER_DOOR_BYTES, (*sides, "door")
    ).items():
        if fd_type in _SOCKETS:
            doors.setdefault((fd_type, direction), {})[door] = scaled(value)
    return [
        Balance(
            fd_type=key[0],
            direction=key[1],
            doors=doors.get(key, {}),
            socket=scaled(socket.get(key, 0)),
            kernel=scaled(kernel.get(key, 0)),
            blind=scaled(blind.get(key, 0)),
            residual=scaled(residual.get(key, 0)),
        )
        for key in sorted({*doors, *socket, *kernel})
    ]
