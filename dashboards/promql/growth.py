# SPDX-License-Identifier: GPL-2.0-only
"""Growth of counters as a difference of sums.

``rate()`` compares the samples of one series. It misses what a series holds when it first appears,
and a process that lives for less than two scrapes has no other samples. A sum over the series of
a name does not have this gap: it lasts as long as the name, and never goes down.

Two kinds of sum are no such sums, because amounts move from one owner of series to another:

- ``(other processes)`` gets all that a name has ever counted when the name loses its series. So its
  growth is that of its own series only, by ``increase()``.
- ``pid=""`` gets all that a pid has counted when the pid loses its series. So sums by pid are
  without the part that has the label ``ended``.

A name has series for each of its units, which end one by one: sums are made by unit first.
"""

from collections.abc import Callable, Iterable

from fdscope.dashboards.promql.selectors import Matcher, Where
from fdscope.exporter.catalog import Metric

OTHER = "(other processes)"
"""The owner of all that has no room under a name of its own."""

Sum = Callable[[Iterable[str], str], str]
"""Writes the sum of an expression by these labels, and by those of the target."""
Selector = Callable[[dict[str, Where]], str]
"""Writes a selector with these matchers."""


def grown(
    metric: Metric,
    by: Iterable[str],
    where: dict[str, Where],
    *,
    add: Sum,
    now: Selector,
    before: Selector,
    window: Selector,
    present: str,
) -> str:
    """Write the growth of a counter, by labels and target, possibly in finer parts.

    ``now`` and ``before`` select the samples at both ends, ``window`` those between. A sum that was
    not there before counts as a whole if the target was (``present``; if empty, always); one that
    has gone down has begun again at 0.
    """
    by = tuple(by)
    named = "pid" in metric.label_names and "process" in (*by, *where)
    if "pid" in by:
        where = where | {"ended": ""}
    elif named:
        by = tuple(dict.fromkeys((*by, "process", "unit")))
    ours = where | {"process": _also(where, "!=")} if named and "pid" not in by else where
    sum_now, sum_before = add(by, now(ours)), add(by, before(ours))
    young = f" and on (job, instance) {present} == 1" if present else ""
    growth = f"({sum_now} - {sum_before}) >= 0\nor {sum_now}{young}"
    if ours is where:
        return growth
    others = where | {"process": _also(where, "=")}
    return f"{growth}\nor {add(by, f'increase({window(others)})')}"


def _also(where: dict[str, Where], operator: str) -> tuple[Matcher, ...]:
    """The matcher that there is for ``process``, and one that compares it with OTHER."""
    chosen = where.get("process")
    other = Matcher(operator, OTHER)
    if chosen is None:
        return (other,)
    if isinstance(chosen, tuple):
        return (*chosen, other)
    return (chosen if isinstance(chosen, Matcher) else Matcher("=", chosen), other)
