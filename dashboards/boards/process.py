# SPDX-License-Identifier: GPL-2.0-only
"""Process: fd types, doors, protocols, errors, open fds, stdio of one process."""

from typing import Any

from grafanalib import core

from fdscope.dashboards.boards import host
from fdscope.dashboards.boards.host import NO_CENSUS
from fdscope.dashboards.grafana import style
from fdscope.dashboards.grafana.layout import (
    base_variables,
    dashboard,
    grid,
    pid_variable,
    process_variable,
    row,
)
from fdscope.dashboards.grafana.panels import (
    BARS,
    LEGEND_TABLE,
    Panel,
    StateTimeline,
    Table,
    TimeSeries,
    lines,
    number,
)
from fdscope.dashboards.grafana.queries import query
from fdscope.dashboards.grafana.tables import column_queries, merged
from fdscope.dashboards.promql.expressions import (
    NOW,
    both_rates,
    differs,
    events,
    named,
    rate,
    select,
    total,
    with_names,
)
from fdscope.dashboards.promql.selectors import of_kinds
from fdscope.exporter.catalog import SOCKET_KINDS, Metric, fds, health, layers

# Panels about the fds of one process.

_OWN: dict[str, Any] = {"process": "$process", "pid": "$pid"}
_OPERATIONS = (layers.FILE_READS, layers.FILE_WRITES)


def lifecycle() -> list[Panel]:
    """Its fds: open, standard, opened, closed, connected, passed."""
    opened = rate(fds.FDS_OPENED, by=("fd_type", "birth"), **_OWN)
    closed = rate(fds.FDS_CLOSED, by=("fd_type", "cause"), **_OWN)
    refused = rate(fds.FD_REFUSALS, by=("birth", "errno"), **_OWN)
    connected = rate(fds.CONNECTIONS, by=("fd_type", "role", "scope"), **_OWN)
    passed = rate(fds.FDS_PASSED, by=("fd_type", "direction"), **_OWN)
    return [
        lines(
            "Open fds",
            "File descriptors open at each census.",
            query(total(fds.OPEN_FDS, by=("fd_type",), **_OWN), "{{fd_type}}"),
            overrides=style.colors(style.FD_TYPES),
            empty=NO_CENSUS,
        ),
        stdio(),
        lines(
            "Fds opened",
            "File descriptors opened per second, and how.",
            query(f"{opened} > 0", "{{fd_type}} by {{birth}}"),
            unit="ops",
            empty="no fd was opened",
        ),
        lines(
            "Fds closed",
            "File descriptors closed per second, and why.",
            query(f"{closed} > 0", "{{fd_type}} by {{cause}}"),
            unit="ops",
            empty="no fd was closed",
        ),
        lines(
            "Calls refused for their fd",
            "No fd was free for the process (EMFILE) or on the host (ENFILE), none is open under"
            " the number (EBADF), or it is no socket (ENOTSOCK); per second.",
            query(f"{refused} > 0", "{{errno}}, {{birth}}"),
            unit="ops",
            empty="no call was refused",
        ),
        lines(
            "Connections",
            "Sockets that became one end of a connection, per second.",
            query(f"{connected} > 0", "{{fd_type}} {{role}}, {{scope}}"),
            unit="ops",
            empty="no connection was made",
        ),
        lines(
            "Fds passed",
            "File descriptors sent or received through unix sockets, per second.",
            query(f"{passed} > 0", "{{fd_type}} {{direction}}"),
            unit="ops",
            empty="no fd was passed",
        ),
    ]


def stdio() -> Table:
    """The types of its standard fds."""
    by = ("process", "pid", "fd", "fd_type")
    mapping = {
        "type": "regex",
        "options": {
            "pattern": f"({of_kinds(*SOCKET_KINDS)})",
            "result": {"color": style.BAD, "index": 0},
        },
    }
    return Table(
        title="Standard input, output and error",
        description="Type of the fds 0, 1 and 2 of the process. A reverse shell has a socket there,"
        " and so have children of inetd and ssh.",
        targets=column_queries({"stdio": total(fds.STDIO_FDS, by=by, **_OWN)}),
        transformations=merged(by, {"stdio": "open"}, sort_by="pid"),
        overrides=[
            style.override(
                "fd type", mappings=[mapping], custom_cellOptions={"type": "color-text"}
            ),
        ],
        empty="not known: the census reads the standard fds of processes that it may look into",
        rows=9,
    )


def pids() -> Table:
    """The processes of the name, by pid."""
    by = ("process", "pid", "unit")
    own: dict[str, Any] = {"process": "$process"}
    columns = {
        "read": rate(layers.FILE_READ_BYTES, by, NOW, **own),
        "written": rate(layers.FILE_WRITTEN_BYTES, by, NOW, **own),
        "operations": both_rates(*_OPERATIONS, by, NOW, **own),
        "fds": total(fds.OPEN_FDS, by=by, **own),
        "limit": total(fds.MAX_FDS, by=by, **own),
    }
    titles = {name: name for name in columns} | {"fds": "open fds", "limit": "fd limit"}
    names = ("container", "image", "namespace", "pod")
    columns["names"] = with_names(both_rates(*_OPERATIONS, by, NOW, **own), *names)
    return Table(
        title="Processes of this name, last minute",
        description="One row per pid, all pids of the name; an empty pid holds those that were"
        " summed: short-lived ones, ended ones, and those beyond the limit of series.",
        targets=column_queries(columns),
        transformations=merged((*by, *names), titles, sort_by="read", hide=("Value #names",)),
        unit="Bps",
        overrides=[
            style.override("operations", unit="iops"),
            style.override("open fds", unit="short"),
            style.override("fd limit", unit="short"),
        ],
        empty="no process of this name has read or written",
        width=24,
        rows=7,
    )


_QUIET, _ACTIVE = "quiet", "active"


def _stats() -> list[Panel]:
    return [
        number(
            "Reads, last minute",
            "Bytes per second that the process reads.",
            rate(layers.FILE_READ_BYTES, seconds=NOW, **_OWN),
            "Bps",
            style.READ,
        ),
        number(
            "Writes, last minute",
            "Bytes per second that the process writes.",
            rate(layers.FILE_WRITTEN_BYTES, seconds=NOW, **_OWN),
            "Bps",
            style.WRITTEN,
        ),
        number(
            "Operations, last minute",
            "Operations per second that did not fail.",
            both_rates(*_OPERATIONS, seconds=NOW, **_OWN),
            "iops",
            style.BLUE,
        ),
        number(
            "Errors, last minute",
            "Operations per second that failed; EAGAIN is not among them.",
            f"{rate(layers.FILE_ERRORS, seconds=NOW, errno=differs('EAGAIN'), **_OWN)}"
            f" or 0 * max({select(health.BUILD)})",
            "ops",
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
        host.of_limit(
            "Fd limit",
            "Share of the limit (RLIMIT_NOFILE) that open fds use, of the process of this"
            " name with the highest, whatever the pid.",
            process="$process",
        ),
    ]


def _timeline() -> StateTimeline:
    nothing = named(f"0 * max({select(health.BUILD)})", "fd_type", "(none)")
    active = f"{both_rates(*_OPERATIONS, by=('fd_type',), **_OWN)} > bool 0 or on () {nothing}"
    states = {
        "0": {"text": _QUIET, "color": style.GREY, "index": 0},
        "1": {"text": _ACTIVE, "color": style.BLUE, "index": 1},
    }
    return StateTimeline(
        title="Which fd types it uses, and when",
        description="A bar while the process reads from or writes to an fd of that type.",
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
        custom=style.BOTH_WAYS,
        overrides=[*style.colors(colors), style.override_query("B", **style.DOWNWARDS)],
        empty="nothing in the chosen time",
        rows=9,
    )


def process() -> core.Dashboard:
    """The dashboard Process."""
    files = (layers.FILE_READ_BYTES, layers.FILE_WRITTEN_BYTES)
    sockets = (layers.SOCKET_RECEIVED_BYTES, layers.SOCKET_SENT_BYTES)
    errors = rate(layers.FILE_ERRORS, by=("errno", "fd_type"), **_OWN)
    operations = both_rates(*_OPERATIONS, by=("fd_type",), **_OWN)
    debug = events(fds.DEBUG_ACCESSES, by=("method",), **_OWN)
    looking = lines(
        "Debugger-like accesses",
        "Accesses of this process to others (ptrace, pidfd_getfd).",
        query(f"{debug} > 0", "{{method}}"),
        custom=BARS,
        empty="it has not accessed another process",
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
        "One process by its name or pid: what it does with its files.",
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
                        "Sockets by scope of the peer",
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
                        unit="ops",
                        empty="no operation has failed",
                    ),
                ),
                row("Its fds", *lifecycle()),
                row(
                    "Pids, and debugger-like accesses",
                    pids(),
                    looking,
                ),
            ],
        ),
    )
