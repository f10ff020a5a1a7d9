# SPDX-License-Identifier: GPL-2.0-only
"""Unusual fd activity: what should be looked into."""

from grafanalib import core

from dashboards import host_fds, style, unusual_sockets
from dashboards.charts import StateTimeline, TimeSeries
from dashboards.frame import base_variables, dashboard, grid, process_link, row
from dashboards.panels import BarGauge, Panel, Table
from dashboards.prometheus import ALERTS, OURS, UP
from dashboards.promql import (
    both_rates,
    differs,
    growth,
    highest,
    named,
    select,
    top,
    total,
)
from dashboards.queries import instant, query
from dashboards.tables import column_queries, merged, process_column
from exporter.catalog import fds, layers

_PAST = "1h"
_SLOPE, _SETTLED = "30m:1m", "10m"
_BYTES = (layers.FILE_READ_BYTES, layers.FILE_WRITTEN_BYTES)


def _alerts() -> list[Panel]:
    by = ("alertname", "severity", "process", "instance")
    firing = total(ALERTS, by=by, alertstate="firing", **OURS)
    states = {
        "0": {"text": "no alert", "color": style.GREY, "index": 2},
        "1": {"text": "pending", "color": style.WATCH, "index": 0},
        "2": {"text": "firing", "color": style.BAD, "index": 1},
    }
    quiet = named(f"0 * max({select(UP)})", "alertname", "(none)")
    state = (
        f"2 * {highest(ALERTS, by=('alertname',), alertstate='firing', **OURS)}"
        f" or {highest(ALERTS, by=('alertname',), alertstate='pending', **OURS)}"
        f" or on () {quiet}"
    )
    return [
        Table(
            title="Firing now",
            description="Alerts of fdscope that fire. What to do is in the runbook of each.",
            targets=column_queries({"firing": firing}),
            transformations=merged(by, {"firing": "alerts"}),
            overrides=[process_column(), style.override("alertname", custom_width=260)],
            empty="no alert fires (or Prometheus has no rules of fdscope loaded)",
            width=24,
            rows=8,
        ),
        StateTimeline(
            title="Alerts over time",
            description="When each alert was pending or firing.",
            targets=[query(state, "{{alertname}}")],
            unit="",
            defaults={"mappings": [{"type": "value", "options": states}]},
            empty="no alert was pending or firing",
            width=24,
            rows=8,
        ),
    ]


def _leaks() -> list[Panel]:
    open_fds = total(fds.OPEN_FDS, by=("process",))
    lives = f"and on (process) count by (process) ({select(fds.OPEN_FDS)} offset {_SETTLED})"
    slope = f"topk(8, deriv(({open_fds})[{_SLOPE}]) * 3600 > 1 {lives})"
    growing = f"{open_fds} and on (process) topk(5, deriv(({open_fds})[{_SLOPE}]) > 0 {lives})"
    return [
        BarGauge(
            title="Growing: fds more per hour",
            description="Slope of the open fds over the last half hour, of the eight processes"
            " that grow fastest and are ten minutes old. One that only ever grows leaks.",
            targets=[instant(slope, "{{process}}")],
            defaults={
                "links": [process_link()],
                "color": {"mode": "fixed", "fixedColor": style.ORANGE},
            },
            empty="no process holds more and more fds",
            width=8,
            rows=8,
        ),
        TimeSeries(
            title="Open fds of those that grow",
            description="The five processes whose open fds grow fastest.",
            targets=[query(growing, "{{process}}")],
            defaults={"min": 0, "links": [process_link()]},
            empty="no process holds more and more fds",
            width=8,
            rows=8,
        ),
        host_fds.limits(
            "Open fds over RLIMIT_NOFILE. At 100 % open() fails with EMFILE.",
            most=8,
            width=8,
            rows=8,
        ),
    ]


def _spikes() -> list[Panel]:
    now = both_rates(*_BYTES, by=("process",))
    past = both_rates(*_BYTES, by=("process",), offset=_PAST)
    errors = growth(layers.FILE_ERRORS, by=("process", "errno"), errno=differs("EAGAIN"))
    return [
        TimeSeries(
            title="Bytes now and an hour before",
            description="All processes together: if the lines part, today is not like an hour ago.",
            targets=[
                query(both_rates(*_BYTES), "now"),
                query(both_rates(*_BYTES, offset=_PAST), "an hour before"),
            ],
            unit="Bps",
            defaults={"min": 0},
            overrides=[
                style.fixed("now", style.BLUE),
                style.fixed("an hour before", style.GREY),
            ],
            width=8,
            rows=8,
        ),
        unusual_sockets.table_of(
            "Times as much as an hour before",
            "Processes that move at least ten times as many bytes per second as an hour ago, and"
            " more than 10 kB/s.",
            f"topk(20, ({now} > 10000) / ({past} > 0) > 10)",
            ("process",),
            value="times",
            empty="no process moves ten times as much as an hour ago",
            width=8,
        ),
        TimeSeries(
            title="Errors by process",
            description="Operations that failed, of the ten processes with the most; EAGAIN is"
            " not among them.",
            targets=[query(top(10, errors), "{{process}}: {{errno}}")],
            defaults={"min": 0, "links": [process_link()]},
            empty="no operation has failed",
            width=8,
            rows=8,
        ),
    ]


def unusual() -> core.Dashboard:
    """The dashboard."""
    tapping = unusual_sockets.looks()
    return dashboard(
        "unusual",
        "Unusual fd activity",
        "Alerts, leaks, fd types that are new, sockets in odd places, spikes against the past.",
        base_variables(),
        grid(
            _alerts(),
            [
                row("Leaks and limits", *_leaks()),
                row(
                    "Sockets where there were none",
                    *unusual_sockets.stdio(),
                    unusual_sockets.new_fd_types(),
                ),
                row("Who looks into others", *tapping),
                row("Against the past", *_spikes()),
            ],
        ),
    )
