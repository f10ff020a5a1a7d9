# SPDX-License-Identifier: GPL-2.0-only
"""Panels about the processes of a host, their errors and how long they wait."""

from typing import Any

from dashboards import style
from dashboards.charts import Heatmap, TimeSeries
from dashboards.frame import process_link
from dashboards.panels import BarGauge, Panel, Table
from dashboards.promql import Matcher, both_rates, buckets, quantile, rate, top
from dashboards.queries import heatmap_query, instant, query
from dashboards.tables import bar_column, column_queries, merged, process_column
from exporter.catalog import Metric, layers

_CHOSEN: dict[str, Any] = {"fd_type": "$fd_type"}
_BYTES = (layers.FILE_READ_BYTES, layers.FILE_WRITTEN_BYTES)
_OPERATIONS = (layers.FILE_READS, layers.FILE_WRITES)
_WORTH_A_LINE = Matcher("!~", ".*e-0[89]")
"""No operation is done in less than 100 ns: those buckets only take room."""
_NO_LATENCY = "not measured: start the exporter with --probe.latency"


def busiest(title: str, metric: Metric, color: str) -> BarGauge:
    """The processes with the most bytes."""
    return BarGauge(
        title=title,
        description="The ten processes with the most bytes per second, by name.",
        targets=[instant(top(10, rate(metric, by=("process",), **_CHOSEN)), "{{process}}")],
        unit="Bps",
        defaults={"color": {"mode": "fixed", "fixedColor": color}, "links": [process_link()]},
        empty="no process does",
        rows=10,
    )


def processes() -> Table:
    """The busiest processes, with what they do."""
    by = ("process", "unit")
    columns = {
        "read": rate(layers.FILE_READ_BYTES, by=by, **_CHOSEN),
        "written": rate(layers.FILE_WRITTEN_BYTES, by=by, **_CHOSEN),
        "operations": both_rates(*_OPERATIONS, by=by, **_CHOSEN),
        "errors": rate(layers.FILE_ERRORS, by=by, **_CHOSEN),
    }
    busy = f"topk(30, {both_rates(*_BYTES, by=by, **_CHOSEN)} > 0)"
    columns = {
        name: f"{expression} and on (process, unit) {busy}" for name, expression in columns.items()
    }
    titles = {name: name for name in columns}
    return Table(
        title="Processes",
        description="The 30 busiest processes by name and unit, per second. Here errors include"
        " EAGAIN. A name leads to the process.",
        targets=column_queries(columns),
        transformations=merged(by, titles, sort_by="read"),
        unit="Bps",
        overrides=[
            process_column(),
            bar_column("read", color={"mode": "fixed", "fixedColor": style.READ}),
            bar_column("written", color={"mode": "fixed", "fixedColor": style.WRITTEN}),
            style.override("operations", unit="iops"),
            style.override("errors", unit="iops"),
        ],
        width=24,
        rows=10,
    )


def errors(title: str, by: str) -> TimeSeries:
    """Operations that failed, by a label."""
    expression = rate(layers.FILE_ERRORS, by=(by,), **_CHOSEN)
    return TimeSeries(
        title=title,
        description="Operations per second that failed. EAGAIN means that there was nothing to"
        " read or no room to write at that moment, which is everyday life for a socket.",
        targets=[query(top(10, expression), f"{{{{{by}}}}}")],
        unit="iops",
        defaults={"min": 0},
        empty="no operation has failed",
        rows=9,
    )


def latency(title: str, metric: Metric) -> list[Panel]:
    """How long operations of a kind take, as a heatmap and as a percentile."""
    return [
        Heatmap(
            title=f"{title}: how long they take",
            description="Operations by duration; waiting for data is included, so that a server"
            " that waits for a request takes long. Only measured with --probe.latency.",
            targets=[heatmap_query(buckets(metric, le=_WORTH_A_LINE, **_CHOSEN))],
            unit="s",
            empty=_NO_LATENCY,
            rows=10,
        ),
        TimeSeries(
            title=f"{title}: 99 % are faster than",
            description="99th percentile of the duration by fd type, waiting included.",
            targets=[query(quantile(0.99, metric, by=("fd_type",), **_CHOSEN), "{{fd_type}}")],
            unit="s",
            custom={"scaleDistribution": {"type": "log", "log": 10}, "fillOpacity": 0},
            overrides=style.colors(style.FD_TYPES),
            empty=_NO_LATENCY,
            rows=10,
        ),
    ]
