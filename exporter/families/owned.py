# SPDX-License-Identifier: GPL-2.0-only
"""Families with a series for each owner: file layer, socket layer, the life of fds."""

import errno as errno_names
from collections.abc import Mapping

from fdscope.exporter.accounts.processes import Owner
from fdscope.exporter.catalog import Metric
from fdscope.exporter.catalog.slots import OF_FDS, OF_LAYERS, metrics_of
from fdscope.exporter.families.build import Series, Table, series
from fdscope.probes.schema.snapshot import OTHER_ERRNO, UNKNOWN_ERRNO, Amount, Slot, slot
from fdscope.probes.schema.taxonomy import Account, Connection

Totals = Mapping[Owner, Mapping[int, Amount]]


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
        for metric in metrics_of(what)
    )
    return first, second
