# SPDX-License-Identifier: GPL-2.0-only
"""Families with series for each owner: file layer, socket layer, lifecycle of fds."""

from collections.abc import Mapping

from fdscope.exporter.accounts.processes import Owner
from fdscope.exporter.catalog import Metric
from fdscope.exporter.catalog.slots import OF_FDS, OF_LAYERS, metrics_of, own_labels, shown_as
from fdscope.exporter.families.build import Series, Table, series
from fdscope.probes.schema.slots import Slot, slot
from fdscope.probes.schema.snapshot import Amount

Totals = Mapping[Owner, Mapping[int, Amount]]


def labels_of(metric: Metric, owner: Owner, what: Slot) -> dict[str, str]:
    """The labels of a series."""
    values = (owner.process, owner.pid, owner.unit, *own_labels(what))
    labels = dict(zip(metric.label_names, values, strict=True))
    return labels | {"ended": owner.ended} if owner.ended else labels


class SeriesCache:
    """The series of each owner, created once and kept as long as the owner."""

    def __init__(self) -> None:
        self._known: dict[Owner, dict[int, tuple[Series | None, Series | None]]] = {}

    def tables(self, totals: Totals) -> list[Table]:
        """The families of all owners: each owner of ``totals`` once, its amounts by slot code."""
        metrics = (*OF_LAYERS, *OF_FDS)
        rows: dict[str, tuple[list[Series], list[float]]] = {m.name: ([], []) for m in metrics}
        known = {}
        for owner, amounts in totals.items():
            of_owner = known[owner] = self._known.get(owner) or {}
            for code, (operations, byte_count) in _shown(amounts).items():
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


def _shown(amounts: Mapping[int, Amount]) -> Mapping[int, Amount]:
    if not any(shown_as(code) != code for code in amounts):
        return amounts
    shown: dict[int, Amount] = {}
    for code, amount in amounts.items():
        before = shown.get(shown_as(code), Amount(0, 0))
        shown[shown_as(code)] = before.plus(amount)
    return shown


def process_families(totals: Totals) -> list[Table]:
    """File layer, socket layer and lifecycle of fds, by owner."""
    return SeriesCache().tables(totals)


def _both(owner: Owner, what: Slot) -> tuple[Series | None, Series | None]:
    first, second = (
        series(metric, labels_of(metric, owner, what)) if metric else None
        for metric in metrics_of(what)
    )
    return first, second
