# SPDX-License-Identifier: GPL-2.0-only
"""Home: a socket is a file. The layers, live, and the ledger that shows the sums agree."""

from typing import Any

from grafanalib import core

from fdscope.dashboards.boards.itself import attach_mode
from fdscope.dashboards.boards.socket_is_a_file.diagram import poster
from fdscope.dashboards.boards.socket_is_a_file.flow import flow_graph
from fdscope.dashboards.boards.socket_is_a_file.ledger import (
    SOCKETS,
    call_chains,
    ledger_table,
    two_layers,
    unexplained,
)
from fdscope.dashboards.grafana import style
from fdscope.dashboards.grafana.layout import (
    base_variables,
    dashboard,
    data_link,
    grid,
    link_to,
    row,
)
from fdscope.dashboards.grafana.panels import BarChart, Panel, Stat, TimeSeries, markdown
from fdscope.dashboards.grafana.queries import instant, query, table
from fdscope.dashboards.promql.expressions import NOW, rate, total
from fdscope.exporter.catalog import fds, layers

_INTRODUCTION = """
A program that sends over the network and one that writes to a disk do the same thing: they hand a
**file descriptor** to the kernel. Follow a byte from top to bottom: it leaves the application
through a **door** (a system call), passes the **file layer** and only then comes to what the file
stands for: TCP/IP, a filesystem, a pipe. Sockets are counted twice, at the file layer and at the
socket layer, by separate hooks. **That both see the same bytes is the proof that a socket is a
file.**

In detail: `send()` and `recv()` do not pass through `vfs_read` and `vfs_write`, but
they go through the descriptor and its `struct file` too, and are counted as the door
*socket_call*. `splice` and `sendfile` out of a socket move bytes past the receive path that the
socket layer's hooks see; they are *blind* in the ledger. Memory maps are not operations on a
descriptor, and are not counted.
"""


def _stats() -> list[Panel]:
    everything = rate(layers.LEDGER_DOOR_BYTES, seconds=NOW)
    sockets = rate(layers.LEDGER_DOOR_BYTES, seconds=NOW, fd_type=SOCKETS)
    blue = style.thresholds((style.BLUE, None))
    size: dict[str, Any] = {"width": 8, "rows": 3, "thresholds": blue}
    return [
        Stat(
            title="File layer, last minute",
            description="Bytes per second that all processes read and write, whatever the fd is.",
            targets=[instant(everything)],
            unit="Bps",
            empty="no data: is the exporter scraped?",
            **size,
        ),
        Stat(
            title="Through sockets, last minute",
            description="Share of the bytes of the file layer that went to or came from a socket.",
            targets=[instant(f"{sockets} / ({everything} > 0)")],
            unit="percentunit",
            defaults={"min": 0, "max": 1},
            empty="nothing is read or written",
            **size,
        ),
        Stat(
            title="Socket layer, last minute",
            description="Bytes per second that the socket layer took from and gave to processes.",
            targets=[instant(rate(layers.LEDGER_SOCKET_BYTES, seconds=NOW))],
            unit="Bps",
            empty="no socket has been used",
            **size,
        ),
        unexplained(width=8, rows=3),
        Stat(
            title="Open fds",
            description="File descriptors open at the last census, of all processes.",
            targets=[instant(total(fds.OPEN_FDS))],
            empty="no census of fds yet",
            **size,
        ),
        attach_mode(width=8, rows=3),
    ]


def _doors_by_fd_type(width: int, rows: int) -> BarChart:
    doors = rate(layers.LEDGER_DOOR_BYTES, ("fd_type", "door"), NOW)
    whole = rate(layers.LEDGER_DOOR_BYTES, ("fd_type",), NOW)
    return BarChart(
        title="Doors of each fd type's bytes, last minute",
        description="Share of the bytes of each fd type that came through each door in the last"
        " minute. A socket is read and written by read() and write() as any file is, and it also"
        " has its own doors, send() and recv().",
        targets=[table(f"{doors} / on (fd_type) group_left () ({whole} > 0)", "A")],
        transformations=[
            {
                "id": "groupingToMatrix",
                "options": {
                    "columnField": "door",
                    "rowField": "fd_type",
                    "valueField": "Value",
                    "emptyValue": "zero",
                },
            },
        ],
        unit="percentunit",
        defaults={"min": 0, "max": 1.06},
        overrides=style.colors(style.DOORS),
        empty="nothing is read or written at the moment",
        width=width,
        rows=rows,
    )


def _by_fd_type(width: int, rows: int) -> TimeSeries:
    sent = rate(layers.LEDGER_DOOR_BYTES, by=("fd_type",), direction="sent")
    received = rate(layers.LEDGER_DOOR_BYTES, by=("fd_type",), direction="received")
    return TimeSeries(
        title="Bytes by fd type",
        description="Bytes per second through the file layer: read or received upwards, written or"
        " sent downwards.",
        targets=[query(f"{received} > 0", "{{fd_type}}"), query(f"{sent} > 0", "{{fd_type}}")],
        unit="Bps",
        custom=style.BOTH_WAYS,
        overrides=[
            *style.colors(style.FD_TYPES),
            style.override_query("B", **style.DOWNWARDS),
        ],
        links=[data_link("Host", link_to("host"))],
        empty="nothing is read or written",
        width=width,
        rows=rows,
    )


def socket_is_a_file() -> core.Dashboard:
    """The dashboard A socket is a file."""
    return dashboard(
        "socket-is-a-file",
        "A socket is a file",
        "The path of every byte from application to device, live: to the kernel a socket is a"
        " file.",
        base_variables(),
        grid(
            [*_stats(), poster(width=24, rows=19)],
            [
                row(
                    "The proof",
                    two_layers(width=8, rows=11),
                    _by_fd_type(width=8, rows=11),
                    _doors_by_fd_type(width=8, rows=11),
                    ledger_table(width=24, rows=9),
                ),
                row("Which process, through which door, to where", flow_graph(width=24, rows=29)),
                row(
                    "The path down, with --probe.stacks",
                    call_chains(width=24, rows=8),
                    collapsed=True,
                ),
                row("What this shows", markdown("How to read it", _INTRODUCTION, rows=8)),
            ],
        ),
        since="now-15m",
        refresh="10s",
    )
