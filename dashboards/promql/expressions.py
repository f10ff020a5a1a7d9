# SPDX-License-Identifier: GPL-2.0-only
"""PromQL from the catalog: an expression can only name metrics, labels and values that exist."""

from collections.abc import Iterable, Mapping

from fdscope.dashboards.promql import selectors
from fdscope.dashboards.promql.growth import grown
from fdscope.dashboards.promql.prometheus import UP
from fdscope.dashboards.promql.selectors import (
    TARGET_LABELS,
    Matcher,
    QueryError,
    Where,
    check_labels,
    differs,
    matches,
    none_of,
    one_of,
)
from fdscope.exporter.catalog import Kind, Metric, units

__all__ = ["Matcher", "QueryError", "Where", "differs", "matches", "none_of", "one_of"]

INTERVAL = "$__rate_interval"
NOW = 60
"""Seconds of the window of numbers that say "now", whatever the width and range of their panel."""
_INTERVAL_SECONDS = "($__rate_interval_ms / 1000)"
_TARGET = {label: Matcher("=~", f"${label}") for label in TARGET_LABELS}


def _chosen(where: Mapping[str, Where]) -> dict[str, Where]:
    """A variable of the dashboard is matched as a pattern, any other string as it is."""
    return {
        name: Matcher("=~", value) if isinstance(value, str) and value.startswith("$") else value
        for name, value in where.items()
    }


def select(metric: Metric, suffix: str = "", /, **where: Where) -> str:
    """Write the selector of a metric's samples on the chosen job and instance."""
    return selectors.select(metric, "", suffix, **{**_TARGET, **_chosen(where)})


def _grouped(function: str, by: Iterable[str], inner: str) -> str:
    names = ", ".join(by)
    return f"{function} by ({names}) ({inner})" if names else f"{function}({inner})"


def _check_counter(metric: Metric, by: Iterable[str]) -> None:
    if metric.kind is not Kind.COUNTER:
        raise QueryError(f"{metric.name} is no counter: its growth means nothing")
    check_labels(metric, by)


def _sum(by: Iterable[str], inner: str) -> str:
    return _grouped("sum", dict.fromkeys((*TARGET_LABELS, *by)), inner)


def _grown(
    metric: Metric,
    by: tuple[str, ...],
    window: str,
    where: Mapping[str, Where],
    back: int = 0,
    whole: bool = False,
) -> str:
    """Growth in a window that ended ``back`` seconds ago, by labels and target.

    ``whole``: all that a target has counted is growth if it was not there before.
    """
    _check_counter(metric, by)
    end = f" offset {back}s" if back else ""
    since = f"{int(window.removesuffix('s')) + back}s" if back else window
    return grown(
        metric,
        by,
        _chosen(where),
        add=_sum,
        now=lambda matchers: select(metric, **matchers) + end,
        before=lambda matchers: selectors.earlier(select(metric, **matchers), since),
        present="" if whole else selectors.earlier(select(UP), since),
    )


def rate(
    metric: Metric, by: Iterable[str] = (), seconds: int = 0, back: int = 0, **where: Where
) -> str:
    """Write the growth of a counter per second, summed by labels.

    The window has so many seconds and ended ``back`` seconds ago; without, it is the one that
    Grafana chooses for the resolution of a graph.
    """
    by = tuple(by)
    window = f"{seconds}s" if seconds else INTERVAL
    growth = _grown(metric, by, window, where, back)
    return _grouped("sum", by, f"({growth}) / {seconds or _INTERVAL_SECONDS}")


def growth(metric: Metric, by: Iterable[str] = (), window: str = INTERVAL, **where: Where) -> str:
    """Write the growth of a counter of the host in a window, summed by labels."""
    by = tuple(by)
    _check_counter(metric, by)
    if "pid" in metric.label_names:
        raise QueryError(f"{metric.name} is of processes: increase() misses short ones")
    return _grouped("sum", by, f"increase({select(metric, **where)}[{window}])")


def events(metric: Metric, by: Iterable[str] = (), window: str = INTERVAL, **where: Where) -> str:
    """Write the number of events in a window; of a target that is new to it, all there were."""
    by = tuple(by)
    return _grouped("sum", by, _grown(metric, by, window, where, whole=True))


def both_rates(
    first: Metric,
    second: Metric,
    by: Iterable[str] = (),
    seconds: int = 0,
    back: int = 0,
    **where: Where,
) -> str:
    """Write the rate of two counters together, also of series that only one of them has."""
    by = tuple(by)
    sides = (
        named(rate(metric, by, seconds, back, **where), "side", f"{n}")
        for n, metric in enumerate((first, second))
    )
    return _grouped("sum", by, " or ".join(sides))


def total(metric: Metric, by: Iterable[str] = (), **where: Where) -> str:
    """Write the sum of the samples as they are, by labels."""
    by = tuple(by)
    check_labels(metric, by)
    return _grouped("sum", by, select(metric, **where))


def highest(metric: Metric, by: Iterable[str] = (), **where: Where) -> str:
    """Write the highest sample, by labels."""
    by = tuple(by)
    check_labels(metric, by)
    return _grouped("max", by, select(metric, **where))


def least_pace(
    metric: Metric, by: Iterable[str], seconds: int, steps: int = 3, **where: Where
) -> str:
    """Write the growth per second of a gauge in the step of a window in which it grew least.

    Nothing for what did not grow in every step, or is younger than the window.
    """
    by = tuple(by)
    now = total(metric, by, **where)
    inner = select(metric, **where)
    step = seconds // steps

    def back(count: int) -> str:
        return _grouped("sum", by, f"{inner} offset {count * step}s") if count else now

    parts = (named(f"{back(n)} - {back(n + 1)}", "step", f"{n}") for n in range(steps))
    least = f"min by ({', '.join(by)}) ({' or '.join(parts)})"
    return f"({least} / {step} > 0 and {back(steps)})"


def buckets(metric: Metric, by: Iterable[str] = (), **where: Where) -> str:
    """Write the rate of a histogram's buckets, summed by ``le`` and labels."""
    if metric.kind is not Kind.HISTOGRAM:
        raise QueryError(f"{metric.name} is no histogram")
    by = ("le", *by)
    check_labels(metric, by)
    return _grouped("sum", by, f"rate({select(metric, '_bucket', **where)}[{INTERVAL}])")


def quantile(share: float, metric: Metric, by: Iterable[str] = (), **where: Where) -> str:
    """Write the value below which a share of a histogram's events lie."""
    return f"histogram_quantile({share}, {buckets(metric, by, **where)})"


def top(count: int, expression: str) -> str:
    """Write the highest values of an expression, without 0."""
    return f"topk({count}, {expression} > 0)"


def with_names(expression: str, *labels: str) -> str:
    """Add labels of fdscope_unit_info to an expression that has the label ``unit``.

    What has a unit without names is left out. Where two hosts have a unit of the same name, it gets
    the names of one of them.
    """
    check_labels(units.UNIT_INFO, labels)
    names = _grouped("max", ("unit", *labels), select(units.UNIT_INFO))
    wanted = ", ".join(labels)
    return f"{expression} * on (unit) group_left ({wanted}) topk by (unit) (1, {names})"


def named(expression: str, label: str, text: str, source: str = "", pattern: str = "(.*)") -> str:
    """Add a label to an expression; ``$1`` in the text is the match of the pattern in source."""
    return f'label_replace({expression}, "{label}", "{text}", "{source}", "{pattern}")'
