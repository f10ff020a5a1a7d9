# SPDX-License-Identifier: GPL-2.0-only
"""Families with series for each owner: file layer, socket layer, lifecycle of fds."""

from collections.abc import Mapping
from dataclasses import dataclass

from fdscope.exporter.accounts.processes import Owner
from fdscope.exporter.catalog import Metric
from fdscope.exporter.catalog.slots import OF_FDS, OF_LAYERS, metrics_of, own_labels, shown_as
from fdscope.exporter.families.build import Block, Series, Table, series
from fdscope.probes.schema.slots import Slot, slot
from fdscope.probes.schema.snapshot import Amount

Totals = Mapping[Owner, Mapping[int, Amount]]


Pair = tuple[Series | None, Series | None]
"""That of the operations and that of the bytes."""


Place = tuple[int, int]
"""A slot code, and 0 for its operations or 1 for its bytes."""


@dataclass(slots=True)
class _OwnerSeries:
    """What is kept of an owner from scrape to scrape."""

    amounts: Mapping[int, Amount]
    """As of the last scrape."""
    pairs: dict[int, Pair]
    """By slot code."""
    places: dict[str, list[Place]]
    """Where the values of each block are."""
    blocks: dict[str, Block]
    """By the name of the metric."""


class SeriesCache:
    """The series of each owner, created once and kept as long as the owner.

    Most owners do nothing between two scrapes: their blocks are used again.
    """

    def __init__(self) -> None:
        self._owners: dict[Owner, _OwnerSeries] = {}

    def tables(self, totals: Totals) -> list[Table]:
        """The families of all owners: each owner of ``totals`` once, its amounts by slot code."""
        metrics = (*OF_LAYERS, *OF_FDS)
        blocks: dict[str, list[Block]] = {metric.name: [] for metric in metrics}
        kept = {}
        for owner, amounts in totals.items():
            series_of_owner = self._owners.get(owner)
            if series_of_owner is None or series_of_owner.amounts != amounts:
                series_of_owner = _updated(owner, amounts, series_of_owner)
            kept[owner] = series_of_owner
            for name, block in series_of_owner.blocks.items():
                blocks[name].append(block)
        self._owners = kept
        return [Table(metric, blocks[metric.name]) for metric in metrics]


def _updated(
    owner: Owner, amounts: Mapping[int, Amount], before: _OwnerSeries | None
) -> _OwnerSeries:
    if before is None or before.amounts.keys() != amounts.keys():
        return _laid_out(owner, amounts, before.pairs if before else {})
    blocks = {}
    for name, places in before.places.items():
        block = before.blocks[name]
        values = [amounts[code][column] for code, column in places]
        blocks[name] = block if block.values == values else Block(block.series, values)
    return _OwnerSeries(dict(amounts), before.pairs, before.places, blocks)


def _laid_out(owner: Owner, amounts: Mapping[int, Amount], pairs: dict[int, Pair]) -> _OwnerSeries:
    rows: dict[str, tuple[list[Series], list[int]]] = {}
    places: dict[str, list[Place]] = {}
    shown = _shown(amounts)
    for code, amount in shown.items():
        pair = pairs.get(code)
        if pair is None:
            pair = pairs[code] = _both(owner, slot(code))
        for column, each in enumerate(pair):
            if each:
                shown_series, values = rows.setdefault(each.name, ([], []))
                shown_series.append(each)
                values.append(amount[column])
                places.setdefault(each.name, []).append((code, column))
    blocks = {name: Block(*row) for name, row in rows.items()}
    # Sums are looked for anew each time: they are those of the host alone.
    return _OwnerSeries(dict(amounts) if shown is amounts else {}, pairs, places, blocks)


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


def _both(owner: Owner, what: Slot) -> Pair:
    first, second = (
        _series(metric, owner, what) if metric else None for metric in metrics_of(what)
    )
    return first, second


def _series(metric: Metric, owner: Owner, what: Slot) -> Series:
    names, values = metric.label_names, (owner.process, owner.pid, owner.unit, *own_labels(what))
    if owner.ended:
        return series(metric, (*names, "ended"), (*values, owner.ended))
    return series(metric, names, values)
