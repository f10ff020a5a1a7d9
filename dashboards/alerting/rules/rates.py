# SPDX-License-Identifier: GPL-2.0-only
"""Rates of counters of processes, which count what short processes did."""

from collections.abc import Iterable

from fdscope.dashboards.alerting.duration import Duration
from fdscope.dashboards.promql.growth import grown
from fdscope.dashboards.promql.prometheus import UP
from fdscope.dashboards.promql.selectors import Where, earlier, keep, select
from fdscope.exporter.catalog import Metric


def per_second(metric: Metric, labels: Iterable[str], window: str, **where: Where) -> str:
    """Write the growth of a counter per second, summed by labels."""
    labels = tuple(labels)
    if "pid" not in metric.label_names:
        return keep("sum", metric, labels, f"rate({select(metric, window, **where)})")
    return f"{increase(metric, labels, window, **where)} / {Duration(window).seconds:g}"


def increase(metric: Metric, labels: Iterable[str], window: str, **where: Where) -> str:
    """Write the growth of a counter of processes in a window, summed by labels."""
    labels = tuple(labels)
    growth = grown(
        metric,
        labels,
        where,
        add=lambda by, inner: keep("sum", metric, by, inner),
        now=lambda matchers: select(metric, **matchers),
        before=lambda matchers: earlier(select(metric, **matchers), window),
        present=earlier(UP.name, window),
    )
    return keep("sum", metric, labels, f"\n{growth}\n")
