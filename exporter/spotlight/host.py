# SPDX-License-Identifier: GPL-2.0-only
"""All processes of the host: what each has moved since the probes were attached, and holds open."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from fdscope.probes.read.census import Census, ProcessFds
from fdscope.probes.schema.slots import slot
from fdscope.probes.schema.snapshot import NOTHING, Accounts, Amount, Process, ProcessKey
from fdscope.probes.schema.taxonomy import Account, FdType
from fdscope.probes.text import printable

_GRACE_SECONDS = 0.5
"""After a process was seen to have ended: what it still counted is in the next reading."""


class Source(Protocol):
    """Attached probes: ``probes.read.session.Session``."""

    @property
    def census(self) -> Census | None:
        """Counts open descriptors."""

    def accounts(self) -> Accounts:
        """The amounts of all processes, for the one who may remove them."""

    def peek(self) -> Accounts:
        """The same for others."""

    def forget(self, processes: Sequence[ProcessKey]) -> None:
        """Remove processes that have ended."""

    def unattributed(self) -> Mapping[int, Amount]:
        """What had no room under a process."""


class Host:
    """Reads the processes of the host; one thread at a time."""

    def __init__(self, source: Source, is_shared: bool) -> None:
        """``is_shared``: somebody else removes ended processes from the maps, a collector."""
        self._source = source
        self._is_shared = is_shared
        self._ended: dict[ProcessKey, float] = {}
        """Processes that have ended and are in the maps, and when that was seen first."""

    def read(self) -> dict[str, Any]:
        """Sums since the probes were attached, as plain values; OSError if the kernel refuses.

        ``now`` is in seconds of the monotonic clock. Open descriptors are None for a process whose
        table could not be read.
        """
        now = time.monotonic()
        accounts = self._accounts(now)
        held = self._held()
        known = {**accounts.processes, **{key: found.process for key, found in held.items()}}
        missing = {key: Process(b"?", 0, True) for key in accounts.amounts if key not in known}
        return {
            "now": now,
            "processes": [
                _process(key, process, accounts.amounts.get(key, {}), held.get(key))
                for key, process in (known | missing).items()
            ],
            "unattributed": _sum(self._source.unattributed())._asdict(),
        }

    def _accounts(self, now: float) -> Accounts:
        if self._is_shared:
            return self._source.peek()
        accounts = self._source.accounts()
        ended = {key for key, process in accounts.processes.items() if process.exited}
        self._ended = {key: self._ended.get(key, now) for key in ended}
        self._source.forget(
            [key for key, since in self._ended.items() if now - since >= _GRACE_SECONDS]
        )
        return accounts

    def _held(self) -> dict[ProcessKey, ProcessFds]:
        census = self._source.census
        if census is None:
            return {}
        found = map(census.fds_of, census.processes())
        return {each.key: each for each in found if isinstance(each, ProcessFds)}


def _sum(amounts: Mapping[int, Amount]) -> Amount:
    """Of the file layer."""
    total = NOTHING
    for code, amount in amounts.items():
        if slot(code).account.is_file:
            total = total.plus(amount)
    return total


def _process(
    key: ProcessKey, process: Process, amounts: Mapping[int, Amount], held: ProcessFds | None
) -> dict[str, Any]:
    types: dict[FdType, list[int]] = {}
    for code, (operations, size) in amounts.items():
        account, fd_type, _, errno, _ = slot(code)
        if not account.is_file:
            continue
        row = types.setdefault(fd_type, [0, 0, 0, 0])
        row[2] += operations
        if errno:
            row[3] += operations
        elif account is Account.FILE_READ:
            row[0] += size
        elif account is Account.FILE_WRITE:
            row[1] += size
    return {
        "pid": key.tgid,
        "start": key.start,
        "process": printable(process.name),
        "ended": process.exited,
        "fds": None if held is None else {t.label: count for t, count in held.counts.items()},
        "moved": {
            fd_type.label: {"read": r, "written": w, "operations": o, "errors": e}
            for fd_type, (r, w, o, e) in types.items()
        },
    }
