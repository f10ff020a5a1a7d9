# SPDX-License-Identifier: GPL-2.0-only
"""Families of the client library from metrics of the catalog."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from prometheus_client import Metric as Family
from prometheus_client.samples import Sample

from fdscope.exporter.catalog import Metric


def family(metric: Metric) -> Family:
    """An empty family of the client library for a metric of the catalog."""
    return Family(metric.family, metric.help, metric.kind.value, metric.unit)


def gauge(metric: Metric, values: Iterable[tuple[tuple[str, ...], float]]) -> Family:
    """A family with one sample per (label values, value); for gauges, counters and infos."""
    result = family(metric)
    for labels, value in values:
        result.add_sample(metric.name, dict(zip(metric.label_names, labels, strict=True)), value)
    return result


class Series(NamedTuple):
    """One series: its labels, and the begin of its line in both formats."""

    name: str
    label_names: tuple[str, ...]
    label_values: tuple[str, ...]
    text: str
    """``name{label="value",...}``, as the client library writes it."""

    @property
    def labels(self) -> dict[str, str]:
        """Name to value; made anew each time, for there are thousands of series."""
        return dict(zip(self.label_names, self.label_values, strict=True))


def series(metric: Metric, names: tuple[str, ...], values: tuple[str, ...]) -> Series:
    """A series of a metric of the catalog, by the names and the values of its labels."""
    pairs = sorted(zip(names, values, strict=True))
    written = ",".join([f'{name}="{_escaped(value)}"' for name, value in pairs])
    text = f"{metric.name}{{{written}}}" if written else metric.name
    return Series(metric.name, names, values, text)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


@dataclass(slots=True)
class Block:
    """Some of the series of a table, and their values, which stay as they are."""

    series: Sequence[Series]
    values: Sequence[float]
    text: bytes | None = None
    """Its lines, once they have been written: the same block can be in the next scrape."""


class Table(Family):
    """A family of many series that are kept from scrape to scrape.

    To the client library it is a family like any other; ``exporter.http.exposition`` writes it from
    the texts of its blocks, many times faster.
    """

    def __init__(self, metric: Metric, blocks: Sequence[Block]) -> None:
        """``blocks``: without duplicate series."""
        self.blocks = blocks
        super().__init__(metric.family, metric.help, metric.kind.value, metric.unit)

    @property
    def size(self) -> int:
        """How many series it has."""
        return sum([len(block.series) for block in self.blocks])

    @property
    def series(self) -> list[Series]:
        """All of them; made anew each time."""
        return [each for block in self.blocks for each in block.series]

    @property
    def samples(self) -> list[Sample]:
        """The samples, created at each call."""
        return [
            Sample(each.name, each.labels, value)
            for block in self.blocks
            for each, value in zip(block.series, block.values, strict=True)
        ]

    @samples.setter
    def samples(self, none: list[Sample]) -> None:
        if none:
            raise TypeError("a table has series and values")


def table(metric: Metric, values: Iterable[tuple[tuple[str, ...], float]]) -> Table:
    """As ``gauge()``, for many series that are shown more than once."""
    rows = list(values)
    known = [series(metric, metric.label_names, labels) for labels, _ in rows]
    return Table(metric, [Block(known, [value for _, value in rows])])
