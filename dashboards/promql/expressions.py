# SPDX-License-Identifier: GPL-2.0-only
"""PromQL from the catalog: an expression can only name metrics, labels and values that exist."""

from collections.abc import Iterable

from fdscope.dashboards.promql import selectors
from fdscope.dashboards.promql.selectors import (
    TARGET_LABELS,
    Matcher,
    QueryError,
    check_labels,
    differs,
    matches,
    none_of,
    one_of,
)
from fdscope.exporter.catalog import Kind, Metric

__all__ = ["Matcher", "QueryError", "differs", "matches", "none_of", "one_of"]

INTERVAL = "$__rate_interval"
_TARGET = {label: f"${label}" for label in TARGET_LABELS}


def _matcher(value: str | Matcher) -> Matcher:
    """A variable of the dashboard is matched as a pattern, any other string as it is."""
    if isinstance(value, Matcher):
        return value
    return Matcher("=~" if value.startswith("$") else "=", value)


def select(metric: Metric, suffix: str = "", /, **where: str | Matcher) -> str:
    """Write the selector of a metric's samples on the chosen job and instance."""
    matchers = {name: _matcher(value) for name, value in {**_TARGET, **where}.items()}
    return selectors.select(metric, "", suffix, **matchers)


def _grouped(function: str, by: Iterable[str], inner: str) -> str:
    names = ", ".join(by)
    return f"{function} by ({names}) ({inner})" if names else f"{function}({inner})"


def _over(function: str, metric: Metric, window: str, offset: str, **where: str | Matcher) -> str:
    if metric.kind is not Kind.COUNTER:
        raise QueryError(f"{metric.name} is no counter: {function}() of it means nothing")
    at = f" offset {offset}" if offset else ""
    return f"{function}({select(metric, **where)}[{window}]{at})"


def rate(metric: Metric, by: Iterable[str] = (), offset: str = "", **where: str | Matcher) -> str:
    """Write the growth of a counter per second, summed by labels."""
    by = tuple(by)
    check_labels(metric, by)
    return _grouped("sum", by, _over("rate", metric, INTERVAL, offset, **where))


def growth(
    metric: Metric, by: Iterable[str] = (), window: str = INTERVAL, **where: str | Matcher
) -> str:
    """Write the growth of a counter in a window, summed by labels."""
    by = tuple(by)
    check_labels(metric, by)
    return _grouped("sum", by, _over("increase", metric, window, "", **where))


def events(
    metric: Metric, by: Iterable[str] = (), window: str = INTERVAL, **where: str | Matcher
) -> str:
    """Write the number of events in a window, including the first of its kind.

    The first sample of a counter already holds its first event, which ``increase()`` does not
    count. So the sum is compared with that of one window before, or with 0 if there was none.
    """
    if metric.kind is not Kind.COUNTER:
        raise QueryError(f"{metric.name} is no counter: events of it mean nothing")
    now = total(metric, by, **where)
    before = _grouped("sum", by, selectors.earlier(select(metric, **where), window))
    return f"clamp_min({now} - ({before} or 0 * {now}), 0)"


def both_rates(
    first: Metric, second: Metric, by: Iterable[str] = (), offset: str = "", **where: str | Matcher
) -> str:
    """Write the rate of two counters together, also of series that only one of them has."""
    by = tuple(by)
    check_labels(first, by)
    check_labels(second, by)
    sides = (
        f'label_replace({_over("rate", metric, INTERVAL, offset, **where)}, "side", "{n}", "", "")'
        for n, metric in enumerate((first, second))
    )
    return _grouped("sum", by, " or ".join(sides))


def total(metric: Metric, by: Iterable[str] = (), **where: str | Matcher) -> str:
    """Write the sum of the samples as they are, by labels."""
    by = tuple(by)
    check_labels(metric, by)
    return _grouped("sum", by, select(metric, **where))


def highest(metric: Metric, by: Iterable[str] = (), **where: str | Matcher) -> str:
    """Write the highest sample, by labels."""
    by = tuple(by)
    check_labels(metric, by)
    return _grouped("max", by, select(metric, **where))


def buckets(metric: Metric, by: Iterable[str] = (), **where: str | Matcher) -> str:
    """Write the rate of a histogram's buckets, summed by ``le`` and labels."""
    if metric.kind is not Kind.HISTOGRAM:
        raise QueryError(f"{metric.name} is no histogram")
    by = ("le", *by)
    check_labels(metric, by)
    return _grouped("sum", by, f"rate({select(metric, '_bucket', **where)}[{INTERVAL}])")


def quantile(share: float, metric: Metric, by: Iterable[str] = (), **where: str | Matcher) -> str:
    """Write the value below which a share of a histogram's events lie."""
    return f"histogram_quantile({share}, {buckets(metric, by, **where)})"


def top(count: int, expression: str) -> str:
    """Write the highest values of an expression, without 0."""
    return f"topk({count}, {expression} > 0)"


def named(expression: str, label: str, text: str, source: str = "", pattern: str = "(.*)") -> str:
    """Add a label to an expression; ``$1`` in the text is the match of the pattern in source."""
    return f'label_replace({expression}, "{label}", "{text}", "{source}", "{pattern}")'
