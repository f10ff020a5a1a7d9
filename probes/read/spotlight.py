# SPDX-License-Identifier: GPL-2.0-only
"""The spotlight: watches processes and reads what each of their files does.

Who watches has a lease, a bit of the map ``watching``. Clearing it ends all that the lease watches
at once, also what its processes fork at that moment.
"""

import threading
from collections import defaultdict
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from fdscope.probes.read.files import ends_of, name_of, place_of
from fdscope.probes.read.maps import HashMap, PerCpuArray
from fdscope.probes.read.origins import OriginMaps
from fdscope.probes.schema.files import (
    Depth,
    Done,
    FileKey,
    Name,
    Operation,
    Origins,
    Python,
    Watched,
    WatchedFile,
    WatchedProcess,
)
from fdscope.probes.schema.records import dtype
from fdscope.probes.schema.snapshot import Amount, ProcessKey
from fdscope.probes.schema.taxonomy import Account, Birth, Cause, Door, FdType, NameState

LEASES = 64


class NoLeaseError(Exception):
    """All leases are in use."""


class Spotlight:
    """The maps of watched processes; calls may come from any thread."""

    def __init__(
        self, watching: PerCpuArray, hashes: dict[str, HashMap], origins: OriginMaps | None
    ) -> None:
        """``hashes``: the maps of the spotlight by name."""
        self._origins = origins
        self._lock = threading.Lock()
        self._watching = HashMap(watching.fd, dtype("u32"), dtype("u64"), 1)
        self._watched = hashes["watched"]
        self._processes = hashes["watched_processes"]
        self._held = hashes["held_files"]
        self._files = hashes["watched_files"]
        self._amounts = hashes["file_amounts"]
        self._names = hashes["file_names"]
        self._leases = 0
        """Bits of those in use."""
        self._begun = 0
        """Bits of those that watch."""

    def lease(self) -> int:
        """A new lease; NoLeaseError if all are in use."""
        with self._lock:
            number = next((n for n in range(LEASES) if not self._leases >> n & 1), None)
            if number is None:
                raise NoLeaseError(f"{LEASES} others watch processes already")
            self._leases |= 1 << number
        return number

    @property
    def knows_origins(self) -> bool:
        """True if it can be asked where descriptors are opened."""
        return self._origins is not None

    def watch(
        self,
        lease: int,
        processes: Mapping[ProcessKey, bytes],
        follow: bool,
        born: int,
        origins: Depth | None = None,
        python: Python | None = None,
    ) -> None:
        """Watch processes, by key and name, and their future children if ``follow``.

        Those of a lease's first call are watched from one moment on. ``born``: that moment, in
        nanoseconds of the monotonic clock, for those that nobody watches yet. OSError if the map
        is full.

        ``origins``: also where they open descriptors, and how stacks are told apart.
        ``python``: their interpreter, for the frames of that.
        """
        with self._lock:
            for process, name in processes.items():
                if python is not None and self._origins:
                    self._origins.set_python(process, python)
                self._prepare(lease, process, name, follow, born, origins)
            self._set(self._begun | 1 << lease)

    def _prepare(
        self,
        lease: int,
        process: ProcessKey,
        name: bytes,
        follow: bool,
        born: int,
        origins: Depth | None,
    ) -> None:
        bit = np.uint64(1 << lease)
        watch = np.zeros(1, dtype("watch"))
        for key, value in zip(*self._watched.read(), strict=True):
            if (key["tgid"], key["start"]) == process:
                watch[0] = value[0]
        watch["watchers"] |= bit
        if follow:
            watch["followers"] |= bit
        if origins is not None:
            watch["origins"] |= bit
            watch["by_depth"] = origins is Depth.TELLS
        key = np.array([process], dtype("process_key"))
        details = np.zeros(1, dtype("watched_process"))
        details["born"] = born
        details["comm"] = name
        # Not over what the kernel side has written meanwhile.
        with suppress(FileExistsError):
            self._processes.put(key, details, new=True)
        self._watched.put(key, watch)

    def release(self, lease: int) -> None:
        """End what a lease watches; nothing of it stays in the maps."""
        bit = np.uint64(1 << lease)
        with self._lock:
            self._leases &= ~(1 << lease)
            self._set(self._begun & ~(1 << lease))
            keys, values = self._watched.read()
            values = values[:, 0]
            ours = (values["watchers"] & bit) != 0
            gone = []
            for key, value in zip(keys[ours], values[ours], strict=True):
                left = np.array([value])
                left["watchers"] &= ~bit
                left["followers"] &= ~bit
                left["origins"] &= ~bit
                if left["watchers"][0]:
                    self._watched.put(np.array([key]), left)
                else:
                    gone.append(key)
            if gone:
                owners = np.array(gone)
                self._watched.delete(owners)
                self._drop(owners)

    def _set(self, begun: int) -> None:
        self._watching.put(np.zeros(1, "<u4"), np.array([begun], "<u8"))
        self._begun = begun

    def _drop(self, owners: Any) -> None:
        """Remove all that is kept of these processes."""
        self._processes.delete(owners)
        if self._origins:
            self._origins.drop({ProcessKey(*key) for key in owners.tolist()})
        tgids = owners["tgid"]
        for of in (self._held, self._files, self._amounts, self._names):
            keys, _ = of.read()
            inner = keys["id"] if "id" in (keys.dtype.names or ()) else keys
            if "owner" in (inner.dtype.names or ()):
                mine = np.isin(_numbers(inner["owner"]), _numbers(owners))
            else:
                mine = np.isin(inner["tgid"], tgids)
            of.delete(keys[mine])

    def origins(self) -> dict[ProcessKey, Origins]:
        """Where the processes of which that was asked have opened descriptors."""
        if self._origins is None:
            return {}
        with self._lock:
            return self._origins.read()

    def read(self) -> Watched:
        """All that is known of the watched processes; OSError if the kernel refuses.

        What files did is read first: it is of files that are known.
        """
        with self._lock:
            amounts = self._amounts.read()
            files = self._files.read()
            names = self._names.read()
            processes = self._processes.read()
            watches = self._watched.read()
        leases = {
            ProcessKey(*key): int(watch["watchers"])
            for key, watch in zip(watches[0].tolist(), watches[1][:, 0], strict=True)
        }
        room = {
            "processes": (len(processes[0]), self._processes.capacity),
            "files": (len(files[0]), self._files.capacity),
            "operations": (len(amounts[0]), self._amounts.capacity),
            "names": (len(names[0]), self._names.capacity),
        }
        done, named = _done(*amounts), _named(*names)
        read_files = (_file(key, value[0], named) for key, value in zip(*files, strict=True))
        return Watched(
            {
                each.key: each
                for each in (
                    _process(key, value[0], leases) for key, value in zip(*processes, strict=True)
                )
            },
            {each.key: each for each in read_files},
            done,
            room,
        )

    def retire(self, files: Collection[FileKey]) -> None:
        """Remove files that were read; what they did stays, until ``forget``.

        What is done to them from now on is that of other files.
        """
        if not files:
            return
        gone = {(key.file, key.born, key.owner.tgid) for key in files}
        with self._lock:
            self._files.delete(np.array(list(files), dtype("file_id")))
            names, _ = self._names.read()
            mine = [row[:3] in gone for row in names.tolist()]
            self._names.delete(names[np.array(mine, bool)])

    def forget(self, files: Collection[FileKey]) -> None:
        """Remove what files did that were retired some time ago."""
        if not files:
            return
        ids = np.array(list(files), dtype("file_id"))
        with self._lock:
            keys, _ = self._amounts.read()
            self._amounts.delete(keys[_among(keys["id"], ids)])


def _numbers(owners: Any) -> Any:
    return owners["tgid"].astype("<u8") << np.uint64(32) | owners["start"]


def _among(keys: Any, others: Any) -> Any:
    """Which of the records are among others of the same type, byte for byte."""
    row = f"V{keys.dtype.itemsize}"
    return np.isin(np.ascontiguousarray(keys).view(row), np.ascontiguousarray(others).view(row))


def _key(record: Any) -> FileKey:
    owner = record["owner"]
    return FileKey(
        int(record["file"]),
        int(record["born"]),
        ProcessKey(int(owner["tgid"]), int(owner["start"])),
    )


def _process(key: Any, value: Any, leases: dict[ProcessKey, int]) -> WatchedProcess:
    owner = ProcessKey(int(key["tgid"]), int(key["start"]))
    parent = ProcessKey(int(value["parent"]["tgid"]), int(value["parent"]["start"]))
    return WatchedProcess(
        owner,
        parent if parent.tgid else None,
        bytes(value["comm"]).partition(b"\0")[0],
        int(value["born"]),
        int(value["execed"]),
        int(value["ended"]),
        Amount(int(value["lost"]["operations"]), int(value["lost"]["bytes"])),
        leases.get(owner, 0),
        int(value["without_origin"]),
    )


def _done(keys: Any, values: Any) -> dict[FileKey, dict[Operation, Done]]:
    done: dict[FileKey, dict[Operation, Done]] = defaultdict(dict)
    for ((file, born, owner), account, door, error, *_), ((operations, size), spent) in zip(
        keys.tolist(), values[:, 0].tolist(), strict=True
    ):
        operation = Operation(Account(account), Door(door), error)
        done[FileKey(file, born, ProcessKey(*owner))][operation] = Done(
            Amount(operations, size), spent
        )
    return done


def _named(keys: Any, values: Any) -> dict[tuple[int, int, int], list[bytes]]:
    """Components of each name, innermost first, by file, birth and tgid."""
    parts: dict[tuple[int, int, int], dict[int, bytes]] = defaultdict(dict)
    for (file, born, tgid, part), text in zip(
        keys.tolist(), values["text"][:, 0].tolist(), strict=True
    ):
        parts[file, born, tgid][part] = text
    return {
        key: [piece for number in sorted(of) for piece in of[number].split(b"\0")]
        for key, of in parts.items()
    }


def _file(
    raw: Any,
    value: Any,
    named: dict[tuple[int, int, int], list[bytes]],
) -> WatchedFile:
    key = _key(raw)
    components = named.get((key.file, key.born, key.owner.tgid))
    name: Name | None = None
    if components is not None and value["named"]:
        name = name_of(components, value["named"] == NameState.WHOLE)
    seen = bool(value["birth_seen"])
    return WatchedFile(
        key,
        FdType(int(value["fd_type"])),
        place_of(value["place"]),
        int(value["flags"]),
        int(value["fd"]) if seen else None,
        Birth(int(value["birth"])) if seen else None,
        int(value["opens"]),
        int(value["closes"]),
        int(value["closed_at"]),
        Cause(int(value["cause"])),
        int(value["last_used"]),
        int(value["position"]),
        ends_of(value["addresses"]),
        name,
    )
