# SPDX-License-Identifier: GPL-2.0-only
"""Common parts of dashboards: variables, links, the grid."""

from collections.abc import Iterable, Sequence
from string import ascii_uppercase
from typing import Any

from grafanalib import core

from fdscope.dashboards.grafana.panels import Panel
from fdscope.dashboards.grafana.queries import DATASOURCE
from fdscope.dashboards.promql.expressions import NOW, both_rates, select
from fdscope.exporter.catalog import Metric, health, layers

COLUMNS = 24
_MOST_PROCESSES = 1000
_AS_ANSWERED = 0
"""Grafana does not sort the values of the variable."""
TAG = "fdscope"
UIDS = {
    name: f"fdscope-{name}"
    for name in ("socket-is-a-file", "host", "process", "unusual", "itself", "fleet")
}

# A process appears with its first read or write.
_IO = "{__name__=~"
_IO += f'"{layers.FILE_READ_BYTES.name}|{layers.FILE_WRITTEN_BYTES.name}"'
_CHOSEN = 'job=~"$job", instance=~"$instance"'


def label_values(metric: Metric, label: str, **where: str) -> str:
    """Ask for the values of a metric's label, for a variable."""
    return f"label_values({select(metric, **where)}, {label})"


def _variable(name: str, label: str, query: str, **more: Any) -> core.Template:
    return core.Template(
        name=name,
        label=label,
        query=query,
        dataSource=DATASOURCE,
        refresh=core.REFRESH_ON_TIME_RANGE_CHANGE,
        **{"multi": True, "includeAll": True, "allValue": ".+"} | more,
    )


def base_variables() -> list[core.Template]:
    """Data source, job and instance."""
    build = health.BUILD.name
    return [
        core.Template(
            name="datasource",
            label="Data source",
            query="prometheus",
            type="datasource",
            dataSource=None,
            refresh=core.REFRESH_ON_DASHBOARD_LOAD,
        ),
        _variable("job", "Job", f"label_values({build}, job)"),
        _variable("instance", "Instance", f'label_values({build}{{job=~"$job"}}, instance)'),
    ]


def fd_type_variable() -> core.Template:
    """Variable: fd types on the chosen instances."""
    return _variable(
        "fd_type", "Fd type", label_values(layers.LEDGER_DOOR_BYTES, "fd_type"), allValue=".+"
    )


def process_variable(**more: Any) -> core.Template:
    """Variable: processes on the chosen instances, those that moved most in the last minute first.

    Grafana opens the dashboard with the first one.
    """
    rates = both_rates(
        layers.FILE_READ_BYTES, layers.FILE_WRITTEN_BYTES, by=("process",), seconds=NOW
    )
    on_one_line = rates.replace("\n", " ")  # Grafana's pattern for query_result() wants one
    return _variable(
        "process",
        "Process",
        f"query_result(topk({_MOST_PROCESSES}, {on_one_line}))",
        regex='/process="(.*)"}/',
        sort=_AS_ANSWERED,
        **more,
    )


def pid_variable() -> core.Template:
    """Variable: pids of the chosen process; "" for summed processes."""
    query = f'label_values({_IO}, {_CHOSEN}, process=~"$process"}}, pid)'
    return _variable("pid", "Pid", query, allValue=".*")


def link_to(dashboard: str, **variables: str) -> str:
    """Write the address of a dashboard that keeps time, data source, job and instance."""
    kept = ("datasource", "job", "instance")
    parts = ["${__url_time_range}", *(f"${{{name}:queryparam}}" for name in kept)]
    parts += [f"var-{name}={value}" for name, value in variables.items()]
    return f"/d/{UIDS[dashboard]}?" + "&".join(parts)


def data_link(title: str, url: str) -> dict[str, Any]:
    """Make a link of a line, a bar or a cell."""
    return {"title": title, "url": url, "targetBlank": False}


def process_link(of: str = "${__field.labels.process:percentencode}") -> dict[str, Any]:
    """Link to the dashboard of the process that the line or the cell names."""
    return data_link("This process", link_to("process", process=of))


def row(title: str, *panels: Panel, collapsed: bool = False) -> "Row":
    """Start a part of a dashboard."""
    return Row(title, panels, collapsed)


class Row:
    """A part of a dashboard: panels from left to right, then below."""

    def __init__(self, title: str, panels: Sequence[Panel], collapsed: bool = False) -> None:
        self.title, self.panels, self.collapsed = title, panels, collapsed


def _place(panels: Iterable[Panel], top: int) -> int:
    """Place each panel; return the first free line below."""
    left, height = 0, 0
    for panel in panels:
        if left + panel.width > COLUMNS:
            left, top, height = 0, top + height, 0
        panel.gridPos = {"x": left, "y": top, "w": panel.width, "h": panel.rows}
        left += panel.width
        height = max(height, panel.rows)
    return top + height


def _with_ref_ids(panel: Panel) -> None:
    for index, query in enumerate(panel.targets):
        round_, letter = divmod(index, len(ascii_uppercase))
        query.refId = query.refId or ascii_uppercase[letter] + (str(round_) if round_ else "")


def grid(head: Sequence[Panel], rows: Sequence[Row]) -> list[Any]:
    """Panels with places and numbers, in their order."""
    placed: list[Any] = list(head)
    top = _place(head, 0)
    for part in rows:
        place = {"x": 0, "y": top, "w": COLUMNS, "h": 1}
        top = _place(part.panels, top + 1)
        inside = list(part.panels) if part.collapsed else []
        placed.append(
            core.RowPanel(title=part.title, gridPos=place, collapsed=part.collapsed, panels=inside)
        )
        placed += [] if part.collapsed else part.panels
        top = place["y"] + 1 if part.collapsed else top
    numbers = iter(range(1, 1000))
    for panel in placed:
        panel.id = next(numbers)
        for inner in getattr(panel, "panels", ()):
            inner.id = next(numbers)
    for panel in (*head, *(panel for part in rows for panel in part.panels)):
        _with_ref_ids(panel)
    return placed


def dashboard(
    name: str,
    title: str,
    description: str,
    variables: Sequence[core.Template],
    panels: Sequence[Any],
    since: str = "now-1h",
    refresh: str = "10s",
) -> core.Dashboard:
    """A dashboard with the common variables, links and settings."""
    links = core.DashboardLink(
        title="fdscope", tags=[TAG], asDropdown=False, includeVars=True, keepTime=True
    )
    return core.Dashboard(
        title=title,
        uid=UIDS[name],
        description=description,
        tags=[TAG],
        links=[links],
        templating=core.Templating(list=list(variables)),
        panels=list(panels),
        editable=False,
        graphTooltip=core.GRAPH_TOOLTIP_MODE_SHARED_CROSSHAIR,
        time=core.Time(since, "now"),
        refresh=refresh,
        timezone="browser",
    )
