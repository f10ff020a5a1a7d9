# SPDX-License-Identifier: GPL-2.0-only
"""Fleet: many instances side by side."""

from typing import Any

from grafanalib import core

from fdscope.dashboards.boards.host import LIMIT
from fdscope.dashboards.grafana import style
from fdscope.dashboards.grafana.layout import (
    base_variables,
    dashboard,
    data_link,
    grid,
    link_to,
    row,
)
from fdscope.dashboards.grafana.panels import (
    LEGEND_TABLE,
    BarGauge,
    Panel,
    Table,
    TimeSeries,
    lines,
    stat,
)
from fdscope.dashboards.grafana.queries import instant, query
from fdscope.dashboards.grafana.tables import bar_column, column_queries, merged
from fdscope.dashboards.promql.expressions import (
    NOW,
    both_rates,
    differs,
    highest,
    rate,
    select,
    top,
    total,
)
from fdscope.dashboards.promql.prometheus import ALERTS, OURS, SCRAPE_SECONDS, UP
from fdscope.exporter.catalog import fds, health, layers

# The table of instances, each of which leads to its host.

_BY = ("instance",)
_SILENT = 1e18


def host_link(value: str) -> dict[str, Any]:
    """Link to the host of one instance, without the chosen instances."""
    url = link_to("host").replace("${instance:queryparam}", f"var-instance={value}")
    return data_link("This host", url)


def instances() -> Table:
    """All instances, with their most important values."""
    columns = {
        "up": total(UP, by=_BY),
        "mode": f"{total(health.ATTACH_MODE, by=('instance', 'mode'))} > 0",
        "file": rate(layers.LEDGER_DOOR_BYTES, _BY, NOW),
        "socket": rate(layers.LEDGER_SOCKET_BYTES, _BY, NOW),
        "errors": rate(layers.FILE_ERRORS, _BY, NOW, errno=differs("EAGAIN")),
        "fds": total(fds.OPEN_FDS, by=_BY),
        "limit": highest(fds.FD_LIMIT_RATIO, by=_BY),
        "residual": total(layers.LEDGER_RESIDUAL_BYTES, by=_BY),
        "scrape": highest(SCRAPE_SECONDS, by=_BY),
    }
    # The silent ones above all, by a number that no host reaches.
    silent = f"{_SILENT:.0e} * ({total(UP, by=_BY)} == bool 0)"
    columns["order"] = f"{columns['file']} or {silent}"
    titles = {
        "up": "answers",
        "mode": "in mode",
        "file": "file layer",
        "socket": "socket layer",
        "errors": "errors",
        "fds": "open fds",
        "limit": "fd limit",
        "residual": "residual",
        "scrape": "scrape",
        "order": "order",
    }
    states = {
        "0": {"text": "no", "color": style.BAD, "index": 0},
        "1": {"text": "yes", "color": style.GOOD, "index": 1},
    }
    text = {"type": "color-text"}
    return Table(
        title="Instances, last minute",
        description="One row per instance, those that do not answer first; its name leads to the"
        " dashboard of the host.",
        targets=column_queries(columns),
        transformations=merged(
            ("instance", "mode"),
            titles,
            sort_by="order",
            hide=("Value #mode", "Value #order"),
        ),
        overrides=[
            style.override(
                "instance", links=[host_link("${__value.raw:percentencode}")], custom_width=155
            ),
            style.override(
                "answers",
                mappings=[{"type": "value", "options": states}],
                custom_cellOptions=text,
                custom_width=75,
            ),
            *(
                bar_column(
                    layer,
                    unit="Bps",
                    color={"mode": "fixed", "fixedColor": color},
                )
                for layer, color in (("file layer", style.ORANGE), ("socket layer", style.BLUE))
            ),
            style.override("mode", custom_width=95),
            style.override("open fds", custom_width=85),
            style.override("errors", unit="ops", custom_width=88),
            style.override(
                "fd limit",
                unit="percentunit",
                custom_width=75,
                thresholds={"mode": "absolute", "steps": LIMIT},
                custom_cellOptions=text,
            ),
            style.override(
                "residual",
                unit="decbytes",
                custom_width=80,
                thresholds={
                    "mode": "absolute",
                    "steps": style.thresholds((style.GOOD, None), (style.BAD, 1)),
                },
                custom_cellOptions=text,
            ),
            style.override("scrape", unit="s", custom_width=80),
        ],
        empty="no exporter is scraped",
        width=24,
        rows=10,
    )


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
            "Instances whose ledger does not close: some bytes of sockets are not explained.",
            f"count({total(layers.LEDGER_RESIDUAL_BYTES, by=_BY)} > 0) or 0 * max({select(UP)})",
            **bad,
        ),
        stat(
            "Lost updates",
            "Instances where a map was full, so that bytes are summed without their process.",
            f"count({total(health.LOST_UPDATES, by=_BY)} > 0) or 0 * max({select(UP)})",
            **bad,
        ),
        stat(
            "All bytes, last minute",
            "Bytes per second through the file layer of all instances.",
            rate(layers.LEDGER_DOOR_BYTES, seconds=NOW),
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
        defaults={"min": 0, "links": [host_link("${__field.labels.instance:percentencode}")]},
        options={"legend": LEGEND_TABLE},
        width=8,
    )


def fleet() -> core.Dashboard:
    """The dashboard Fleet."""
    files = (layers.FILE_READ_BYTES, layers.FILE_WRITTEN_BYTES)
    busiest = top(10, both_rates(*files, ("instance", "process"), NOW))
    errors = rate(layers.FILE_ERRORS, by=_BY, errno=differs("EAGAIN"))
    return dashboard(
        "fleet",
        "Fleet",
        "All hosts that run fdscope, side by side; each leads to its own dashboard.",
        base_variables(),
        grid(
            [*_stats(), instances()],
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
                        "ops",
                    ),
                    BarGauge(
                        title="Busiest processes of all hosts, last minute",
                        description="Bytes per second, read and written together.",
                        targets=[instant(busiest, "{{process}} on {{instance}}")],
                        unit="Bps",
                        defaults={"links": [host_link("${__field.labels.instance:percentencode}")]},
                        empty="no process reads or writes",
                        width=24,
                        rows=9,
                    ),
                ),
            ],
        ),
        refresh="30s",
    )
