# SPDX-License-Identifier: GPL-2.0-only
"""From the arrays that the maps were read into to the plain values of a snapshot."""

from typing import Any

import numpy as np

from probes.maps import Array, over_cpus
from probes.records import dtype
from probes.snapshot import (
    LATENCY_STRIDE,
    OVERFLOW_SHAPE,
    UNKNOWN_ERRNO,
    Amount,
    FdFlow,
    Latency,
    Process,
    ProcessKey,
)
from probes.taxonomy import Account, FdType, Loss

UNKNOWN_FILESYSTEM = "(unknown)"
"""Where the map of names is full."""


def amounts(keys: Any, values: Any) -> dict[ProcessKey, dict[int, Amount]]:
    """The map ``counters``, summed over the CPUs: see ``Accounts.amounts``."""
    words = keys.view("<u4").reshape(-1, 3)
    sums = over_cpus(values)
    amounts: dict[ProcessKey, dict[int, Amount]] = {}
    for (tgid, start, code), (operations, byte_count) in zip(
        words.tolist(), sums.tolist(), strict=True
    ):
        slots = amounts.setdefault(ProcessKey(tgid, start), {})
        slots[code] = Amount(operations, byte_count)
    return amounts


def processes(keys: Any, values: Any) -> dict[ProcessKey, Process]:
    """The map ``processes``."""
    return {
        ProcessKey(tgid, start): Process(comm.partition(b"\0")[0], cgroup_id, bool(exited))
        for (tgid, start), (cgroup_id, exited, comm) in zip(
            keys.tolist(), values.tolist(), strict=True
        )
    }


def overflow(values: Any) -> dict[int, Amount]:
    """The compact index of the overflow array as the slot code of a counter key."""
    sums = over_cpus(values)
    overflow = {}
    for index in np.flatnonzero(sums[:, 0]).tolist():
        failed, via, fd_type, account = map(int, np.unravel_index(index, OVERFLOW_SHAPE))
        code = account | fd_type << 8 | via << 16 | (UNKNOWN_ERRNO << 24 if failed else 0)
        overflow[code] = Amount(*sums[index].tolist())
    return overflow


def filesystems(
    counted: tuple[Any, Any], named: tuple[Any, Any]
) -> dict[tuple[str, FdType, Account], int]:
    """Bytes by name: the names are read last, so that each is there."""
    names = {
        int(address): name.decode(errors="backslashreplace")
        for address, (name,) in zip(named[0], named[1][:, 0].tolist(), strict=True)
    }
    keys, values = counted
    return {
        (names.get(address, UNKNOWN_FILESYSTEM), FdType(fd_type), Account(account)): total
        for (address, fd_type, account), total in zip(
            keys.tolist(), values.sum(axis=1).tolist(), strict=True
        )
    }


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


def under_way(values: Any) -> dict[FdType, int]:
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
