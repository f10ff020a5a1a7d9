# SPDX-License-Identifier: GPL-2.0-only
"""Decodes the arrays that the maps were read into: plain values of a snapshot."""

from itertools import islice
from typing import Any

import numpy as np

from fdscope.probes.read.maps import Array, over_cpus
from fdscope.probes.schema.records import dtype
from fdscope.probes.schema.slots import overflow_code
from fdscope.probes.schema.snapshot import (
    LATENCY_STRIDE,
    Amount,
    FdFlow,
    Latency,
    Process,
    ProcessKey,
    amount,
)
from fdscope.probes.schema.taxonomy import Account, FdType, Loss
from fdscope.probes.text import printable

UNKNOWN_FILESYSTEM = "(unknown)"
"""If the map of names was full."""


class AmountsReader:
    """Decodes the map ``counters``, reading after reading.

    Most processes do nothing from one reading to the next: for these the objects of the last
    reading are used again.
    """

    def __init__(self) -> None:
        self._owners = np.empty(0, "<u8")
        """Tgid and start of each process, in order; shape (m,)."""
        self._starts = np.zeros(1, "<i8")
        """Index of the first entry of each, and the end; shape (m + 1,)."""
        self._codes = np.empty(0, "<u4")
        self._sums = np.empty((0, 2), "<u8")
        self._amounts: dict[ProcessKey, dict[int, Amount]] = {}

    def read(self, keys: Array, values: Array) -> dict[ProcessKey, dict[int, Amount]]:
        """Sums over the CPUs, see ``Accounts.amounts``; keys of shape (n,), values (n, cpus).

        A key can be there more than once: then its values are added.
        """
        words = keys.view("<u4").reshape(-1, 3)
        owners = words[:, 0].astype("<u8") << np.uint64(32) | words[:, 1]
        order = np.lexsort((words[:, 2], owners))
        owners, codes = owners[order], words[order, 2]
        sums = over_cpus(values)[order]
        distinct = np.flatnonzero(
            (np.diff(owners, prepend=~owners[:1]) != 0) | (np.diff(codes, prepend=~codes[:1]) != 0)
        )
        if len(distinct) < len(codes):
            owners, codes = owners[distinct], codes[distinct]
            sums = np.add.reduceat(sums, distinct)
        firsts = np.flatnonzero(np.diff(owners, prepend=~owners[:1]))
        starts = np.append(firsts, len(owners))
        same = self._same(owners[firsts], starts, codes, sums)
        changed = np.repeat(~same, np.diff(starts))
        entries = zip(codes[changed].tolist(), map(amount, sums[changed].tolist()), strict=True)
        before, amounts = self._amounts, {}
        for owner, size, unchanged in zip(
            owners[firsts].tolist(), np.diff(starts).tolist(), same.tolist(), strict=True
        ):
            key = ProcessKey(owner >> 32, owner & 0xFFFFFFFF)
            if unchanged:
                amounts[key] = before[key]
            else:
                amounts[key] = dict(islice(entries, size))
        self._owners, self._starts = owners[firsts], starts
        self._codes, self._sums, self._amounts = codes, sums, amounts
        return amounts

    def _same(self, owners: Array, starts: Array, codes: Array, sums: Array) -> Array:
        """Which of the processes have the same entries as they had in the last reading."""
        same = np.zeros(len(owners), bool)
        _, now, then = np.intersect1d(owners, self._owners, assume_unique=True, return_indices=True)
        sizes = np.diff(starts)[now]
        alike = sizes == np.diff(self._starts)[then]
        now, then, sizes = now[alike], then[alike], sizes[alike]
        if not len(now):
            return same
        # Places of all entries of these processes, in the arrays of now and of then.
        ends = np.cumsum(sizes)
        within = np.arange(ends[-1]) - np.repeat(ends - sizes, sizes)
        here = np.repeat(starts[now], sizes) + within
        there = np.repeat(self._starts[then], sizes) + within
        equal = (codes[here] == self._codes[there]) & (sums[here] == self._sums[there]).all(axis=1)
        same[now] = np.logical_and.reduceat(equal, ends - sizes)
        return same


class ProcessesReader:
    """The map ``processes`` as plain values, reading after reading.

    Most entries are as they were: what was made of them serves again.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[ProcessKey, Process]] = {}
        """What was made of each entry of the last reading, by its bytes."""

    def read(self, keys: Array, values: Array) -> dict[ProcessKey, Process]:
        """Keys and values are of shape (n,)."""
        known = self._known
        rows = _bytes_of(keys, values)
        fresh = [place for place, row in enumerate(rows) if row not in known]
        made = {
            rows[place]: (ProcessKey(*key), _process(*value))
            for place, key, value in zip(
                fresh, keys[fresh].tolist(), values[fresh].tolist(), strict=True
            )
        }
        self._known = {row: known.get(row) or made[row] for row in rows}
        return dict(self._known.values())


def _bytes_of(keys: Array, values: Array) -> list[bytes]:
    """Each key and its value in one; both of shape (n,)."""
    row = np.empty(len(keys), [("key", keys.dtype), ("value", values.dtype)])
    row["key"], row["value"] = keys, values
    rows: list[bytes] = row.view(f"V{row.itemsize}").tolist()
    return rows


def _process(cgroup_id: int, exited: int, comm: bytes) -> Process:
    return Process(comm.partition(b"\0")[0], cgroup_id, bool(exited))


def overflow(values: Any) -> dict[int, Amount]:
    """The compact index of the overflow array as the slot code of a counter key."""
    sums = over_cpus(values)
    overflow = {}
    for index in np.flatnonzero(sums[:, 0]).tolist():
        overflow[overflow_code(index)] = amount(sums[index].tolist())
    return overflow


def filesystems(
    in_cells: tuple[Any, Any], counted: tuple[Any, Any], named: tuple[Any, Any]
) -> dict[tuple[str, FdType, Account], int]:
    """Bytes by name of the filesystem; the names are read last, so that each is known."""
    names = {
        int(address): printable(name)
        for address, (name,) in zip(named[0], named[1][:, 0].tolist(), strict=True)
    }
    sums: dict[tuple[str, FdType, Account], int] = {}
    for keys, values in (in_cells, counted):
        for (address, fd_type, account), total in zip(
            keys.tolist(), values.sum(axis=1).tolist(), strict=True
        ):
            what = names.get(address, UNKNOWN_FILESYSTEM), FdType(fd_type), Account(account)
            sums[what] = sums.get(what, 0) + total  # a module that came again has another address
    return sums


def latency(values: Any) -> dict[tuple[FdType, Account], Latency]:
    """The array ``latency``: durations by fd type and direction, where there are any."""
    tables = values.sum(axis=1).reshape(2, len(FdType), LATENCY_STRIDE)
    return {
        (fd_type, account): Latency(tuple(slots[:-1].tolist()), int(slots[-1]))
        for account, table in zip((Account.FILE_READ, Account.FILE_WRITE), tables, strict=True)
        for fd_type, slots in zip(FdType, table, strict=True)
        if slots.any()
    }


def waits(values: Any) -> Latency:
    """The array ``fanotify_waits``, which is one histogram."""
    slots = values.sum(axis=1).tolist()
    return Latency(tuple(slots[:-1]), slots[-1])


def in_flight(values: Any) -> dict[FdType, int]:
    """The map ``transfers``: bytes by fd type."""
    sums: dict[FdType, int] = {}
    for byte_count, fd_type in values[:, 0].tolist():
        sums[FdType(fd_type)] = sums.get(FdType(fd_type), 0) + byte_count
    return sums


def losses(values: Any) -> dict[Loss, int]:
    """The array ``losses``."""
    return dict(zip(Loss, values.sum(axis=1).tolist(), strict=True))


def fd_flow(values: Any) -> FdFlow:
    """The array ``fd_flow``: what was opened, then what was closed."""
    opened, closed = values.sum(axis=1).reshape(2, len(FdType)).tolist()
    return FdFlow(dict(zip(FdType, opened, strict=True)), dict(zip(FdType, closed, strict=True)))


def belong_to(keys: Array, processes: Array) -> Array:
    """Which keys of counters, shape (n,), are of any of the processes, shape (m,)."""
    owners = keys[["tgid", "start"]].astype(dtype("process_key"))
    return np.isin(owners.view("<u8"), processes.view("<u8"))
