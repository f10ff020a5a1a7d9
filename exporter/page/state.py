# SPDX-License-Identifier: GPL-2.0-only
"""The state of the page as plain values for JSON, from one reading or two."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from heapq import nlargest
from pathlib import Path
from typing import Any

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

Row = dict[str, Any]
Both = tuple[float, float]
"""Bytes read or received, and bytes written or sent."""


def state(now: Reading, before: Reading | None, on_disk: frozenset[str]) -> Row:
    """The whole state: ``rate`` in bytes per second (null without ``before``), ``total`` in bytes.

    ``on_disk``: the types of filesystem on a block device.
    """
    seconds = now.at - before.at if before else 0.0
    return {
        "seconds": round(seconds, 2),
        "readable": layers.FILE_READ_BYTES in now.sums,
        "sees_sockets": bool(now.sums.get(layers.LEDGER_RESIDUAL_BYTES)),
        "rate": _picture(now, before, seconds, on_disk) if seconds >= WHOLE_SECONDS else None,
        "total": _picture(now, None, 1.0, on_disk),
        "lost": {reason: n for (reason,), n in now.by(health.LOST_UPDATES, ["reason"]).items()},
        "open": {fd_type: n for (fd_type,), n in now.by(fds.OPEN_FDS, ["fd_type"]).items() if n},
    }


def disk_filesystems(listing: Path = _FILESYSTEMS) -> frozenset[str]:
    """Types of filesystem that need a block device, and those on top of others."""
    try:
        lines = listing.read_text().splitlines()
    except OSError:
        lines = []
    needing = {line.strip() for line in lines if not line.startswith("nodev")}
    return frozenset(needing | {"overlay", "btrfs", "zfs"})


def _picture(now: Reading, before: Reading | None, seconds: float, on_disk: frozenset[str]) -> Row:
    grown = partial(changes, now=now, before=before)
    picture = {
        "flows": _flows(grown),
        "behind": [*_protocols(grown), *_filesystems(grown, on_disk)],
        "devices": _devices(grown),
        "processes": _processes(grown, now),
        "ledger": _ledger(grown),
    }
    for rows in picture.values():
        for row in rows:
            _divide(row, seconds)
    return picture


def _divide(row: Row, seconds: float) -> None:
    for name, value in row.items():
        if isinstance(value, float):
            row[name] = round(value / seconds)
        elif isinstance(value, dict):
            _divide(value, seconds)


def _both(read: Mapping[Key, float], written: Mapping[Key, float]) -> dict[Key, Both]:
    keys = dict.fromkeys((*read, *written))
    return {key: (float(read.get(key, 0)), float(written.get(key, 0))) for key in keys}


def _pair(grown: Changes, read: Metric, written: Metric, labels: Iterable[str]) -> dict[Key, Both]:
    names = tuple(labels)
    return _both(grown(read, names), grown(written, names))


def _files(grown: Changes, *labels: str) -> dict[Key, Both]:
    return _pair(grown, layers.FILE_READ_BYTES, layers.FILE_WRITTEN_BYTES, labels)


def _flows(grown: Changes) -> list[Row]:
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
        {"process": process, "door": door, "fd_type": fd_type, "read": read, "written": written}
        for (process, fd_type, door), (read, written) in sorted(flows.items())
    ]


def protocol(fd_type: str, scope: str) -> str:
    """Name of a protocol, with the scope of its peer if it can have a remote one."""
    if scope in (Scope.LOOPBACK.label, Scope.REMOTE.label):
        return f"{fd_type} {scope}"
    return f"{fd_type}, peer unknown" if fd_type in _INTERNET else fd_type


def _protocols(grown: Changes) -> Iterator[Row]:
    """Bytes at the socket layer, by protocol and scope of the peer."""
    ways = {Scope.LOOPBACK.label: "loopback", Scope.REMOTE.label: "network"}
    found = _pair(
        grown, layers.SOCKET_RECEIVED_BYTES, layers.SOCKET_SENT_BYTES, ("fd_type", "scope")
    )
    for (fd_type, scope), (read, written) in sorted(found.items()):
        yield {
            "fd_type": fd_type, "name": protocol(fd_type, scope), "device": ways.get(scope, ""),
            "read": read, "written": written,
        }  # fmt: skip


def _filesystems(grown: Changes, on_disk: frozenset[str]) -> Iterator[Row]:
    found = _pair(
        grown, storage.FILESYSTEM_READ_BYTES, storage.FILESYSTEM_WRITTEN_BYTES,
        ("filesystem", "fd_type"),
    )  # fmt: skip
    for (filesystem, fd_type), (read, written) in sorted(found.items()):
        if fd_type not in _SOCKETS:
            yield {
                "fd_type": fd_type, "name": filesystem,
                "device": "disk" if filesystem in on_disk else "",
                "read": read, "written": written,
            }  # fmt: skip


def _devices(grown: Changes) -> list[Row]:
    network = _pair(
        grown, storage.NETWORK_RECEIVED_BYTES, storage.NETWORK_SENT_BYTES, ("device", "kind")
    )
    block = _pair(grown, storage.BLOCK_READ_BYTES, storage.BLOCK_WRITTEN_BYTES, ("device",))
    found = [*network.items(), *(((name, "block"), amounts) for (name,), amounts in block.items())]
    return [
        {"device": device, "kind": kind, "read": read, "written": written}
        for (device, kind), (read, written) in nlargest(MOST_DEVICES, found, lambda d: sum(d[1]))
    ]


def _processes(grown: Changes, now: Reading) -> list[Row]:
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
        {
            "process": key[0], "pid": key[1], "unit": key[2],
            "open": int(open_fds[key]) if key in open_fds else None,
            "read": {name: read for name, (read, _) in types[key].items()},
            "written": {name: written for name, (_, written) in types[key].items()},
        }
        for key in sorted(shown, key=lambda key: -ranks[key])
    ]  # fmt: skip


def _ledger(grown: Changes) -> list[Row]:
    """Both sides of each equation of the ledger."""
    sides = ("fd_type", "direction")
    terms = {
        name: grown(metric, sides)
        for name, metric in (
            ("socket", layers.LEDGER_SOCKET_BYTES),
            ("kernel", layers.LEDGER_KERNEL_BYTES),
            ("blind", layers.LEDGER_BLIND_BYTES),
            ("residual", layers.LEDGER_RESIDUAL_BYTES),
        )
    }
    doors: dict[Key, dict[str, float]] = {}
    for (fd_type, direction, door), value in grown(
        layers.LEDGER_DOOR_BYTES, (*sides, "door")
    ).items():
        if fd_type in _SOCKETS:
            doors.setdefault((fd_type, direction), {})[door] = float(value)
    return [
        {"fd_type": key[0], "direction": key[1], "doors": doors.get(key, {})}
        | {name: float(term.get(key, 0)) for name, term in terms.items()}
        for key in sorted({*doors, *terms["socket"], *terms["kernel"]})
    ]
