# SPDX-License-Identifier: GPL-2.0-only
"""Which metrics show an amount, by what it counts (its slot)."""

from collections.abc import Mapping

from fdscope.exporter.catalog import fds, layers
from fdscope.exporter.catalog.model import Metric
from fdscope.probes.schema.snapshot import Amount, Slot, slot
from fdscope.probes.schema.taxonomy import Account

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
        width = self[code] = sum(metric is not None for metric in metrics_of(slot(code)))
        return width


# There are no more codes than combinations of closed sets and errnos.
width = _Widths().__getitem__
"""How many series show the amount of a slot code."""


def series_of(amounts: Mapping[int, Amount]) -> int:
    """How many series show these amounts."""
    return sum(map(width, amounts))
