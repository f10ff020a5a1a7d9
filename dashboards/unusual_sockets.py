# SPDX-License-Identifier: GPL-2.0-only
"""Panels about sockets in odd places, and about who looks into others."""

from typing import Any

from dashboards import style
from dashboards.charts import BARS, Heatmap, lines
from dashboards.frame import process_link
from dashboards.ledger_panels import SOCKETS
from dashboards.panels import Panel, Table
from dashboards.promql import (
    buckets,
    events,
    one_of,
    select,
    top,
    total,
)
from dashboards.queries import heatmap_query, query
from dashboards.tables import column_queries, merged, process_column
from exporter.catalog import fds

_PAST = "1h"


def table_of(
    title: str, description: str, expression: str, by: tuple[str, ...], **more: Any
) -> Table:
    """A table of one query, whose number has a title."""
    value = more.pop("value")
    narrow = {"pid": 75, "fd": 45, "fd type": 110, value: 70} if "pid" in by else {}
    return Table(
        title=title,
        description=description,
        targets=column_queries({"it": expression}),
        transformations=merged(by, {"it": value}, sort_by=value),
        overrides=[
            process_column(),
            *(style.override(name, custom_width=width) for name, width in narrow.items()),
        ],
        width=more.pop("width", 12),
        rows=8,
        **more,
    )


def new_fd_types() -> Table:
    """Fd types that a process did not have an hour ago."""
    by = ("process", "fd_type")
    now = f"{total(fds.OPEN_FDS, by=by)} > 0"
    known = f"count by (process, fd_type) ({select(fds.OPEN_FDS)} offset {_PAST} > 0)"
    old = f"count by (process) ({select(fds.OPEN_FDS)} offset {_PAST})"
    return table_of(
        "Fd types new for a process",
        "Processes that an hour ago held no fd of the type and hold one now. Processes that were"
        " not there an hour ago are left out.",
        f"{now} unless on (process, fd_type) {known} and on (process) {old}",
        by,
        value="open fds",
        empty="no process holds fds of a type that it did not hold an hour ago",
        width=24,
    )


def stdio() -> list[Panel]:
    """Sockets as standard input, output or error."""
    by = ("process", "pid", "fd", "fd_type")
    return [
        table_of(
            "Standard fds that are a socket",
            "Fds 0, 1 and 2 behind which a socket stands at the last census: what a reverse shell"
            " has, and what inetd, ssh and systemd's socket units have.",
            f"{total(fds.STDIO_FDS, by=by, fd_type=SOCKETS)} > 0",
            by,
            value="open",
            empty="no process has a socket as standard input, output or error",
        ),
        table_of(
            "Sockets put on standard fds",
            "Times in the chosen time that a process put a socket on fd 0, 1 or 2; it is seen even"
            " if the process ends at once. An empty pid holds the processes that have ended.",
            f"{events(fds.STDIO_SOCKET_EVENTS, by=by, window='$__range')} > 0",
            by,
            value="times",
            empty="no process put a socket on a standard fd",
        ),
    ]


def looks() -> list[Panel]:
    """Passed fds, taps on packets and files, debuggers."""
    shape: dict[str, Any] = {
        "defaults": {"min": 0, "links": [process_link()]},
        "width": 8,
        "rows": 8,
    }
    bars: dict[str, Any] = shape | {"custom": BARS}
    packet = total(fds.OPEN_FDS, by=("process", "fd_type"), fd_type=one_of(("packet", "raw")))
    passed = top(6, events(fds.FDS_PASSED, by=("process", "fd_type", "direction")))
    looks_into = events(fds.DEBUG_ACCESSES, by=("process", "method"))
    groups = total(fds.FANOTIFY_GROUPS, by=("process", "class"))
    tapping = lines(
        "Packet and raw sockets",
        "Open sockets that see packets of others: captures, DHCP clients, and what hides among"
        " them.",
        query(f"{packet} > 0", "{{process}}: {{fd_type}}"),
        empty="no packet or raw socket is open",
        **shape,
    )
    watching = lines(
        "fanotify groups",
        "Who watches the files of the host. Groups of the class permission answer before an access"
        " goes on, and can hold everybody up.",
        query(f"{groups} > 0", "{{process}}: {{class}}"),
        empty="no fanotify group is open",
        **shape,
    )
    return [
        lines(
            "Fds passed between processes",
            "File descriptors sent or received through unix sockets (SCM_RIGHTS): a file changes"
            " hands without being opened. At each moment the six kinds with the most.",
            query(f"{passed} > 0", "{{process}}: {{fd_type}} {{direction}}"),
            empty="no fd was passed",
            **bars,
        ),
        tapping,
        lines(
            "Reaching into other processes",
            "Times that a process took hold of another one as a debugger does.",
            query(f"{looks_into} > 0", "{{process}}: {{method}}"),
            empty="no process looked into another one",
            **bars,
        ),
        watching,
        Heatmap(
            title="Waiting for permission",
            description="Time that accesses waited for the answer of a fanotify permission group.",
            targets=[heatmap_query(buckets(fds.FANOTIFY_PERMISSION_SECONDS))],
            unit="s",
            empty="no access had to ask for permission, or nothing tells of it: in tracepoint mode,"
            " and in fentry mode before Linux 6.6",
            width=16,
            rows=8,
        ),
    ]
