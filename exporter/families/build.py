# SPDX-License-Identifier: GPL-2.0-only
"""Families of the client library from metrics of the catalog."""

from collections.abc import Iterable, Sequence
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
    labels: dict[str, str]
    text: str
    """``name{label="value",...}``, as the client library writes it."""


def series(metric: Metric, labels: dict[str, str]) -> Series:
    """A series of a metric of the catalog."""
    written = ",".join(f'{name}="{_escaped(labels[name])}"' for name in sorted(labels))
    return Series(metric.name, labels, f"{metric.name}{{{written}}}" if written else metric.name)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


class Table(Family):
    """A family of many series that are kept from scrape to scrape.

    To the client library it is a family like any other; ``exporter.http.exposition`` writes it from
    the texts of its series, a few times faster.
    """

    def __init__(self, metric: Metric, known: Sequence[Series], values: Sequence[float]) -> None:
        """``known``: the series, without duplicates; ``values``: one of each."""
        self.series = known
        self.values = values
        super().__init__(metric.family, metric.help, metric.kind.value, metric.unit)

    @property
    def samples(self) -> list[Sample]:
        """The samples, created at each call."""
        return [
            Sample(series.name, series.labels, value)
            for series, value in zip(self.series, self.values, strict=True)
        ]

    @samples.setter
    def samples(self, none: list[Sample]) -> None:
        if none:
            raise TypeError("a table has series and values")


def table(metric: Metric, values: Iterable[tuple[tuple[str, ...], float]]) -> Table:
    """As ``gauge()``, for many series that are shown more than once."""
    names = metric.label_names
    rows = list(values)
    known = [series(metric, dict(zip(names, labels, strict=True))) for labels, _ in rows]
    return Table(metric, known, [value for _, value in rows])
