# SPDX-License-Identifier: GPL-2.0-only
"""Fleet: many instances at once, and which of them to look at."""

from typing import Any

from grafanalib import core

from dashboards import fleet_table, style
from dashboards.charts import LEGEND_TABLE, TimeSeries, lines
from dashboards.frame import base_variables, dashboard, grid, row
from dashboards.panels import BarGauge, Panel, stat
from dashboards.prometheus import ALERTS, OURS, UP
from dashboards.promql import both_rates, differs, rate, select, top, total
from dashboards.queries import instant, query
from exporter.catalog import fds, itself, layers

_BY = ("instance",)


def _stats() -> list[Panel]:
    size = {"empty": "no exporter is scraped", "width": 8, "rows": 3}
    bad: dict[str, Any] = size | {
        "thresholds": style.thresholds((style.GOOD, None), (style.BAD, 1))
    }
    blue: dict[str, Any] = size | {"thresholds": style.thresholds((style.BLUE, None))}
    return [
        stat(
            "Answering",
            "Exporters that answered the last scrape.",
            f"sum({select(UP)})",
            **blue,
        ),
        stat(
            "Silent",
            "Exporters that Prometheus cannot scrape.",
            f"count({select(UP)} == 0) or 0 * max({select(UP)})",
            **bad,
        ),
        stat(
            "Alerts firing",
            "Alerts of fdscope on the chosen instances.",
            f"count({select(ALERTS, alertstate='firing', **OURS)}) or 0 * max({select(UP)})",
            **bad,
        ),
        stat(
            "Unexplained bytes",
            "Instances whose ledger does not close: somewhere, bytes of sockets are not explained.",
            f"count({total(layers.LEDGER_RESIDUAL_BYTES, by=_BY)} > 0) or 0 * max({select(UP)})",
            **bad,
        ),
        stat(
            "Lost updates",
            "Instances where a map was full, so that bytes could not be told apart.",
            f"count({total(itself.LOST_UPDATES, by=_BY)} > 0) or 0 * max({select(UP)})",
            **bad,
        ),
        stat(
            "All bytes",
            "Bytes per second through the file layer of all instances.",
            rate(layers.LEDGER_DOOR_BYTES),
            unit="Bps",
            **blue,
        ),
    ]


def _by_instance(title: str, description: str, expression: str, unit: str) -> TimeSeries:
    return lines(
        title,
        description,
        query(expression, "{{instance}}"),
        unit=unit,
        defaults={"min": 0, "links": [fleet_table.host_link("${__field.labels.instance}")]},
        options={"legend": LEGEND_TABLE},
        width=8,
    )


def fleet() -> core.Dashboard:
    """The dashboard."""
    files = (layers.FILE_READ_BYTES, layers.FILE_WRITTEN_BYTES)
    busiest = top(10, both_rates(*files, by=("instance", "process")))
    errors = rate(layers.FILE_ERRORS, by=_BY, errno=differs("EAGAIN"))
    return dashboard(
        "fleet",
        "Fleet",
        "All hosts that run fdscope, side by side; each leads to its own dashboard.",
        base_variables(),
        grid(
            [*_stats(), fleet_table.instances()],
            [
                row(
                    "Side by side",
                    _by_instance(
                        "Bytes by instance",
                        "Bytes per second through the file layer, the 20 busiest instances.",
                        top(20, rate(layers.LEDGER_DOOR_BYTES, by=_BY)),
                        "Bps",
                    ),
                    _by_instance(
                        "Open fds by instance",
                        "File descriptors open at each census, the 20 instances with the most.",
                        top(20, total(fds.OPEN_FDS, by=_BY)),
                        "short",
                    ),
                    _by_instance(
                        "Errors by instance",
                        "Operations per second that failed, without EAGAIN.",
                        top(20, errors),
                        "iops",
                    ),
                    BarGauge(
                        title="Busiest processes of all hosts",
                        description="Bytes per second, read and written together.",
                        targets=[instant(busiest, "{{process}} on {{instance}}")],
                        unit="Bps",
                        defaults={"links": [fleet_table.host_link("${__field.labels.instance}")]},
                        empty="no process reads or writes",
                        width=24,
                        rows=9,
                    ),
                ),
            ],
        ),
        refresh="30s",
    )
