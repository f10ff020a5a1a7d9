# SPDX-License-Identifier: GPL-2.0-only
"""Growth of counters as a difference of sums.

``rate()`` compares the samples of one series. It misses what a series holds when it first appears,
and a process that lives for less than two scrapes has no other samples. A sum over the series of
a name does not have this gap: it lasts as long as the name, and never goes down.

Two kinds of sum are no such sums, because amounts move from one owner of series to another:

- ``(other processes)`` gets all that a name has ever counted when the name loses its series.
- ``pid=""`` gets all that a pid has counted when the pid loses its series.

What they get so has the label ``ended``, and is left out: it has been counted where it was before.

A name has series for each of its units, which end one by one: sums are made by unit first.
"""

from collections.abc import Callable, Iterable

from fdscope.dashboards.promql.selectors import Matcher, Where
from fdscope.exporter.catalog import Metric
from fdscope.exporter.catalog.model import OTHER

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
    present: str,
) -> str:
    """Write the growth of a counter, by labels and target, possibly in finer parts.

    ``now`` and ``before`` select the samples at both ends. A sum that was not there before counts
    as a whole if the target was (``present``; if empty, always); one that has gone down has begun
    again at 0.
    """
    by = tuple(by)
    parts = [where]
    if "pid" in by:
        parts = [where | {"ended": ""}]
    elif "pid" in metric.label_names and "process" in (*by, *where):
        by = tuple(dict.fromkeys((*by, "process", "unit")))
        parts = [
            where | {"process": _also(where, "!=")},
            where | {"process": _also(where, "="), "ended": ""},
        ]
    young = f" and on (job, instance) {present} == 1" if present else ""
    growth = []
    for part in parts:
        sum_now, sum_before = add(by, now(part)), add(by, before(part))
        growth += [f"({sum_now} - {sum_before}) >= 0", sum_now + young]
    return "\nor ".join(growth)


def _also(where: dict[str, Where], operator: str) -> tuple[Matcher, ...]:
    """The matcher that there is for ``process``, and one that compares it with OTHER."""
    chosen = where.get("process")
    other = Matcher(operator, OTHER)
    if chosen is None:
        return (other,)
    if isinstance(chosen, tuple):
        return (*chosen, other)
    return (chosen if isinstance(chosen, Matcher) else Matcher("=", chosen), other)
