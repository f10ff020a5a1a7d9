# SPDX-License-Identifier: GPL-2.0-only
"""Families of the client library from metrics of the catalog."""

from collections.abc import Iterable

from prometheus_client import Metric as Family

from exporter.catalog import Metric


def family(metric: Metric) -> Family:
    """An empty family of the client library for a metric of the catalog."""
    return Family(metric.family, metric.help, metric.kind.value, metric.unit)


def gauge(metric: Metric, values: Iterable[tuple[tuple[str, ...], float]]) -> Family:
    """A family with one sample per (label values, value); for gauges, counters and infos."""
    result = family(metric)
    for labels, value in values:
        result.add_sample(metric.name, dict(zip(metric.label_names, labels, strict=True)), value)
    return result
