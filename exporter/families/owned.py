# SPDX-License-Identifier: GPL-2.0-only
"""Families with a series for each owner: file layer, socket layer, the life of fds."""

import errno as errno_names
from collections.abc import Mapping

from exporter.catalog import Metric, fds, layers
from exporter.families.build import Series, Table, series
from exporter.owners import Owner
from probes.snapshot import OTHER_ERRNO, UNKNOWN_ERRNO, Amount, Slot, slot
from probes.taxonomy import Account, Connection

Totals = Mapping[Owner, Mapping[int, Amount]]

# Per account: the metric of its operations (None: not exported) and that of its bytes.
_MOVED: Mapping[Account, tuple[Metric | None, Metric]] = {
    Account.FILE_READ: (layers.FILE_READS, layers.FILE_READ_BYTES),
    Account.FILE_WRITE: (layers.FILE_WRITES, layers.FILE_WRITTEN_BYTES),
    Account.FILE_PEEK: (None, layers.FILE_PEEKED_BYTES),
    Account.FILE_DUPLICATE: (None, layers.FILE_DUPLICATED_BYTES),
    Account.FILE_TRUNCATE: (None, layers.FILE_TRUNCATED_BYTES),
    Account.FILE_ERRQUEUE: (None, layers.FILE_ERRQUEUE_BYTES),
    Account.SOCKET_RECEIVE: (layers.SOCKET_RECEIVES, layers.SOCKET_RECEIVED_BYTES),
    Account.SOCKET_SEND: (layers.SOCKET_SENDS, layers.SOCKET_SENT_BYTES),
    Account.SOCKET_PEEK: (None, layers.SOCKET_PEEKED_BYTES),
    Account.SOCKET_TRUNCATE: (None, layers.SOCKET_TRUNCATED_BYTES),
    Account.SOCKET_ERRQUEUE: (None, layers.SOCKET_ERRQUEUE_BYTES),
}
_EVENTS: Mapping[Account, Metric] = {
    Account.FD_OPENED: fds.FDS_OPENED,
    Account.FD_CLOSED: fds.FDS_CLOSED,
    Account.FD_PASSED: fds.FDS_PASSED,
    Account.STDIO_SOCKET: fds.STDIO_SOCKET_EVENTS,
    Account.CONNECTION: fds.CONNECTIONS,
    Account.DEBUG_ACCESS: fds.DEBUG_ACCESSES,
    Account.FD_REFUSED: fds.FD_REFUSALS,
}
OF_LAYERS = tuple(
    dict.fromkeys([m for pair in _MOVED.values() for m in pair if m] + [layers.FILE_ERRORS])
)
OF_FDS = tuple(_EVENTS.values())


def _metrics(what: Slot) -> tuple[Metric | None, Metric | None]:
    """That of the operations and that of the bytes."""
    if what.account.is_fd:
        return _EVENTS[what.account], None
    if what.kernel:
        return None, None  # of no process: a term of the ledger
    if what.errno:
        return layers.FILE_ERRORS, None
    return _MOVED[what.account]


class _Widths(dict[int, int]):
    def __missing__(self, code: int) -> int:
        width = self[code] = sum(metric is not None for metric in _metrics(slot(code)))
        return width


# There are no more codes than combinations of closed sets and errnos.
width = _Widths().__getitem__
"""How many series show the amount of a slot code."""


def series_of(amounts: Mapping[int, Amount]) -> int:
    """How many series show these amounts."""
    return sum(map(width, amounts))


def errno_name(number: int) -> str:
    """``EAGAIN`` for 11; ``unknown`` where it was not kept, ``(other)`` where several are summed.

    The number if it has no name.
    """
    if number == UNKNOWN_ERRNO:
        return "unknown"
    if number == OTHER_ERRNO:
        return "(other)"
    return errno_names.errorcode.get(number, str(number))


def _own_labels(what: Slot) -> tuple[str, ...]:
    """Values of the labels that follow the owner's, in the catalog's order."""
    if what.account is Account.DEBUG_ACCESS:
        return (what.via.label,)
    if what.account is Account.FD_REFUSED:
        return what.via.label, errno_name(what.errno)
    if isinstance(what.via, Connection):
        return what.fd_type.label, what.via.role, what.via.scope.label
    if what.errno:
        return what.fd_type.label, what.via.label, errno_name(what.errno)
    return what.fd_type.label, what.via.label


def labels_of(metric: Metric, owner: Owner, what: Slot) -> dict[str, str]:
    """The labels of a series."""
    values = (owner.process, owner.pid, owner.unit, *_own_labels(what))
    labels = dict(zip(metric.label_names, values, strict=True))
    return labels | {"ended": owner.ended} if owner.ended else labels


class SeriesCache:
    """The series of each owner, made once and kept as long as the owner is there."""

    def __init__(self) -> None:
        self._known: dict[Owner, dict[int, tuple[Series | None, Series | None]]] = {}

    def tables(self, totals: Totals) -> list[Table]:
        """The families of all owners: each owner of ``totals`` once, its amounts by slot code."""
        metrics = (*OF_LAYERS, *OF_FDS)
        rows: dict[str, tuple[list[Series], list[float]]] = {m.name: ([], []) for m in metrics}
        known = {}
        for owner, amounts in totals.items():
            of_owner = known[owner] = self._known.get(owner) or {}
            for code, (operations, byte_count) in amounts.items():
                pair = of_owner.get(code)
                if pair is None:
                    pair = of_owner[code] = _both(owner, slot(code))
                counted, moved = pair
                if counted:
                    shown, values = rows[counted.name]
                    shown.append(counted)
                    values.append(operations)
                if moved:
                    shown, values = rows[moved.name]
                    shown.append(moved)
                    values.append(byte_count)
        self._known = known
        return [Table(metric, *rows[metric.name]) for metric in metrics]


def process_families(totals: Totals) -> list[Table]:
    """File layer, socket layer and the life of fds, per owner."""
    return SeriesCache().tables(totals)


def _both(owner: Owner, what: Slot) -> tuple[Series | None, Series | None]:
    first, second = (
        series(metric, labels_of(metric, owner, what)) if metric else None
        for metric in _metrics(what)
    )
    return first, second
