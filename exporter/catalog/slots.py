# SPDX-License-Identifier: GPL-2.0-only
"""From an amount's slot to the metrics that show it, and their labels."""

import errno as errno_names
from collections.abc import Mapping

from fdscope.exporter.catalog import fds, layers
from fdscope.exporter.catalog.model import Metric
from fdscope.probes.schema.slots import OTHER_ERRNO, UNKNOWN_ERRNO, Slot, slot
from fdscope.probes.schema.snapshot import Amount
from fdscope.probes.schema.taxonomy import Account, Connection

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


def metrics_of(what: Slot) -> tuple[Metric | None, Metric | None]:
    """The metric of the operations and that of the bytes; None where there is none."""
    if what.account.is_fd:
        return _EVENTS[what.account], None
    if what.kernel:
        return None, None  # of no process: a term of the ledger
    if what.errno:
        return layers.FILE_ERRORS, None
    return _MOVED[what.account]


class _Widths(dict[int, int]):
    def __missing__(self, code: int) -> int:
        width = self[code] = sum(metric is not None for metric in metrics_of(slot(code)))
        return width


# There are no more codes than combinations of closed sets and errnos.
width = _Widths().__getitem__
"""Number of series that show the amount of a slot code."""


def series_of(amounts: Mapping[int, Amount]) -> int:
    """Number of series that show these amounts."""
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


def own_labels(what: Slot) -> tuple[str, ...]:
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


class _Shown(dict[int, int]):
    def __init__(self) -> None:
        self._first: dict[object, int] = {}

    def __missing__(self, code: int) -> int:
        what = slot(code)
        metrics = metrics_of(what)
        key = (metrics, own_labels(what)) if any(metrics) else code
        shown = self[code] = self._first.setdefault(key, code)
        return shown


shown_as = _Shown().__getitem__
"""The slot code under which an amount is shown: one for all that have the same labels.

Errors of the file layer are counted by direction and shown without it.
"""
