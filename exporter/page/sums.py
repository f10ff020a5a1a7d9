# SPDX-License-Identifier: GPL-2.0-only
"""From the metric families of a scrape to sums by the few labels that the page needs."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import Metric as Family

from fdscope.exporter.catalog import Metric, fds, health, layers, storage
from fdscope.exporter.families.build import Series, Table
from fdscope.exporter.http.exposition import LeftOut, check

Key = tuple[str, ...]
"""Label values, in the order of ``LABELS``."""

ENDED_PID = "ended"
"""Stands for the pid of processes that have ended: see the label ``ended``."""

_FILE = ("process", "pid", "unit", "fd_type", "door")
_SOCKET = ("fd_type", "scope")
_LEDGER = ("fd_type", "direction")
_FILESYSTEM = ("filesystem", "fd_type")
_NETWORK = ("device", "kind")
_OPEN = ("process", "pid", "unit", "fd_type")

LABELS: Mapping[Metric, Key] = {
    layers.FILE_READ_BYTES: _FILE,
    layers.FILE_WRITTEN_BYTES: _FILE,
    layers.SOCKET_RECEIVED_BYTES: _SOCKET,
    layers.SOCKET_SENT_BYTES: _SOCKET,
    layers.LEDGER_DOOR_BYTES: (*_LEDGER, "door"),
    layers.LEDGER_SOCKET_BYTES: _LEDGER,
    layers.LEDGER_KERNEL_BYTES: _LEDGER,
    layers.LEDGER_BLIND_BYTES: _LEDGER,
    layers.LEDGER_RESIDUAL_BYTES: _LEDGER,
    storage.FILESYSTEM_READ_BYTES: _FILESYSTEM,
    storage.FILESYSTEM_WRITTEN_BYTES: _FILESYSTEM,
    storage.NETWORK_RECEIVED_BYTES: _NETWORK,
    storage.NETWORK_SENT_BYTES: _NETWORK,
    storage.BLOCK_READ_BYTES: ("device",),
    storage.BLOCK_WRITTEN_BYTES: ("device",),
    fds.OPEN_FDS: _OPEN,
    health.LOST_UPDATES: ("reason",),
}
"""The metrics that the page shows, and the labels by which it shows them."""

_BY_FAMILY = {metric.family: metric for metric in LABELS}


@dataclass(frozen=True, slots=True)
class Reading:
    """The sums of one scrape, and its time."""

    at: float
    """Seconds of a monotonic clock."""
    sums: Mapping[Metric, Mapping[Key, float]]

    def by(self, metric: Metric, labels: Collection[str]) -> dict[Key, float]:
        """The metric summed by some of its labels of ``LABELS``, in their order there."""
        places = [place for place, name in enumerate(LABELS[metric]) if name in labels]
        result: dict[Key, float] = {}
        for key, value in self.sums.get(metric, {}).items():
            chosen = tuple(key[place] for place in places)
            result[chosen] = result.get(chosen, 0) + value
        return result


def read(families: Iterable[Family], at: float, left_out: LeftOut) -> Reading:
    """Sum the families of a scrape made at ``at`` seconds; leave out invalid ones."""
    sums: dict[Metric, Mapping[Key, float]] = {}
    for family in families:
        metric = _BY_FAMILY.get(family.name)
        if metric is not None:
            try:
                check(_values(family), family.type)
                sums[metric] = _sums(metric, family)
            except Exception as error:
                left_out.add(family.name, error)
    return Reading(at, sums)


def _values(family: Family) -> Iterable[float]:
    if isinstance(family, Table):
        return (value for block in family.blocks for value in block.values)
    return (sample.value for sample in family.samples)


def _sums(metric: Metric, family: Family) -> dict[Key, float]:
    result: dict[Key, float] = {}
    names = LABELS[metric]
    if isinstance(family, Table):
        return _sums_of_table(names, family)
    for sample in family.samples:
        labels = sample.labels
        if "ended" in labels:
            labels = {**labels, "pid": ENDED_PID}
        key = tuple([labels.get(name, "") for name in names])
        result[key] = result.get(key, 0) + sample.value
    return result


def _sums_of_table(names: Key, table: Table) -> dict[Key, float]:
    """As ``_sums``, without a sample and a dict for each of thousands of series."""
    places: dict[Key, list[int]] = {}
    result: dict[Key, float] = {}
    for block in table.blocks:
        for each, value in zip(block.series, block.values, strict=True):
            chosen = places.get(each.label_names)
            if chosen is None:
                chosen = places[each.label_names] = [_place(name, each) for name in names]
            values = each.label_values + _BEHIND
            key = tuple([values[place] for place in chosen])
            result[key] = result.get(key, 0) + value
    return result


_BEHIND = ("", ENDED_PID)
"""Stands behind the values of a series' labels: what a label is that it does not have."""


def _place(name: str, each: Series) -> int:
    """Where the value of a label is in those of a series with ``_BEHIND``."""
    if name == "pid" and "ended" in each.label_names:
        return -1
    return each.label_names.index(name) if name in each.label_names else -2


def changes(
    metric: Metric, labels: Collection[str], now: Reading, before: Reading | None
) -> dict[Key, float]:
    """Growth of a counter since ``before``; its whole value if that is None."""
    sums = now.by(metric, labels)
    if before is None:
        return {key: value for key, value in sums.items() if value > 0}
    earlier = before.by(metric, labels)
    grown = ((key, value - earlier.get(key, 0)) for key, value in sums.items())
    return {key: value for key, value in grown if value > 0}


Changes = Callable[[Metric, Collection[str]], dict[Key, float]]
"""``changes`` of two readings."""
