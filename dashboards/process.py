# SPDX-License-Identifier: GPL-2.0-only
"""Process: what this one does. Its fd types, doors, protocols, errors, open fds, stdio."""

from typing import Any

from grafanalib import core

from dashboards import host_fds, process_fds, style
from dashboards.charts import BARS, LEGEND_TABLE, StateTimeline, TimeSeries, lines
from dashboards.frame import base_variables, dashboard, grid, pid_variable, process_variable, row
from dashboards.panels import Panel, number
from dashboards.promql import both_rates, differs, events, named, rate, select, total
from dashboards.queries import query
from exporter.catalog import Metric, fds, itself, layers

_OWN: dict[str, Any] = {"process": "$process", "pid": "$pid"}
_OPERATIONS = (layers.FILE_READS, layers.FILE_WRITES)
_QUIET, _ACTIVE = "quiet", "active"


def _stats() -> list[Panel]:
    return [
        number(
            "Reads",
            "Bytes per second that the process reads.",
            rate(layers.FILE_READ_BYTES, **_OWN),
            "Bps",
            style.READ,
        ),
        number(
            "Writes",
            "Bytes per second that the process writes.",
            rate(layers.FILE_WRITTEN_BYTES, **_OWN),
            "Bps",
            style.WRITTEN,
        ),
        number(
            "Operations",
            "Operations per second that did not fail.",
            both_rates(*_OPERATIONS, **_OWN),
            "iops",
            style.BLUE,
        ),
        number(
            "Errors",
            "Operations per second that failed; EAGAIN is not among them.",
            f"{rate(layers.FILE_ERRORS, errno=differs('EAGAIN'), **_OWN)}"
            f" or 0 * max({select(itself.BUILD)})",
            "iops",
            style.PURPLE,
            style.BLUE,
        ),
        number(
            "Open fds",
            "File descriptors open at the last census.",
            total(fds.OPEN_FDS, **_OWN),
            "short",
            style.BLUE,
        ),
        host_fds.of_limit(
            "Fd limit",
            "Open fds over the limit (RLIMIT_NOFILE), of the process of this name where"
            " it is highest, whatever the pid.",
            process="$process",
        ),
    ]


def _timeline() -> StateTimeline:
    nothing = named(f"0 * max({select(itself.BUILD)})", "fd_type", "(none)")
    active = f"{both_rates(*_OPERATIONS, by=('fd_type',), **_OWN)} > bool 0 or on () {nothing}"
    states = {
        "0": {"text": _QUIET, "color": style.GREY, "index": 0},
        "1": {"text": _ACTIVE, "color": style.BLUE, "index": 1},
    }
    return StateTimeline(
        title="Which fd types it uses, and when",
        description="A bar where the process read from or wrote to a fd of that type.",
        targets=[query(active, "{{fd_type}}")],
        unit="",
        defaults={"mappings": [{"type": "value", "options": states}]},
        empty="the process has neither read nor written",
        width=24,
        rows=8,
    )


def _both_ways(
    title: str, description: str, pair: tuple[Metric, Metric], by: str, colors: dict[str, str]
) -> TimeSeries:
    legend = f"{{{{{by}}}}}"
    read, written = (rate(metric, by=(by,), **_OWN) for metric in pair)
    return TimeSeries(
        title=title,
        description=f"{description}: read or received upwards, written or sent downwards.",
        targets=[query(f"{read} > 0", legend), query(f"{written} > 0", legend)],
        unit="Bps",
        overrides=[*style.colors(colors), style.override_query("B", **style.DOWNWARDS)],
        empty="nothing in the chosen time",
        rows=9,
    )


def process() -> core.Dashboard:
    """The dashboard."""
    files = (layers.FILE_READ_BYTES, layers.FILE_WRITTEN_BYTES)
    sockets = (layers.SOCKET_RECEIVED_BYTES, layers.SOCKET_SENT_BYTES)
    errors = rate(layers.FILE_ERRORS, by=("errno", "fd_type"), **_OWN)
    operations = both_rates(*_OPERATIONS, by=("fd_type",), **_OWN)
    debug = events(fds.DEBUG_ACCESSES, by=("method",), **_OWN)
    looking = lines(
        "Reaching into others",
        "Times that it took hold of another process as a debugger does.",
        query(f"{debug} > 0", "{{method}}"),
        custom=BARS,
        empty="it has not looked into another process",
        width=24,
    )
    by_operations = lines(
        "Operations by fd type",
        "Operations per second that did not fail.",
        query(f"{operations} > 0", "{{fd_type}}"),
        unit="iops",
        options={"legend": LEGEND_TABLE},
        overrides=style.colors(style.FD_TYPES),
        empty="nothing in the chosen time",
    )
    chosen = {"multi": False, "includeAll": False, "allValue": None}
    return dashboard(
        "process",
        "Process",
        "One process by its name, or by its pid: what it does with its files.",
        [*base_variables(), process_variable(**chosen), pid_variable()],
        grid(
            [*_stats(), _timeline()],
            [
                row(
                    "Bytes",
                    _both_ways("By fd type", "Bytes per second", files, "fd_type", style.FD_TYPES),
                    _both_ways("By door", "Bytes per second", files, "door", style.DOORS),
                    _both_ways(
                        "Sockets by protocol",
                        "Bytes per second at the socket layer",
                        sockets,
                        "fd_type",
                        style.FD_TYPES,
                    ),
                    _both_ways(
                        "Sockets by where the peer is",
                        "Bytes per second at the socket layer",
                        sockets,
                        "scope",
                        style.SCOPES,
                    ),
                ),
                row(
                    "Operations and errors",
                    by_operations,
                    lines(
                        "Errors by errno",
                        "Operations per second that failed, EAGAIN among them.",
                        query(f"{errors} > 0", "{{errno}} on {{fd_type}}"),
                        unit="iops",
                        empty="no operation has failed",
                    ),
                ),
                row("Its fds", *process_fds.life()),
                row(
                    "Pids, and who it looked into",
                    process_fds.pids(),
                    looking,
                ),
            ],
        ),
    )
