# SPDX-License-Identifier: GPL-2.0-only
"""Panels about the fds of one process."""

from typing import Any

from dashboards import style
from dashboards.charts import lines
from dashboards.host_fds import NO_CENSUS
from dashboards.panels import Panel, Table
from dashboards.promql import both_rates, rate, total
from dashboards.queries import query
from dashboards.series import of_kinds
from dashboards.tables import column_queries, merged
from exporter.catalog import SOCKET_KINDS, fds, layers

_OWN: dict[str, Any] = {"process": "$process", "pid": "$pid"}
_OPERATIONS = (layers.FILE_READS, layers.FILE_WRITES)


def life() -> list[Panel]:
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
            "File descriptors that came to be, per second, and how.",
            query(f"{opened} > 0", "{{fd_type}} by {{birth}}"),
            unit="ops",
            empty="no fd was opened",
        ),
        lines(
            "Fds closed",
            "File descriptors that ended, per second, and why.",
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
    """What stands behind its standard fds."""
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
        description="What stands behind the fds 0, 1 and 2 of the process. A socket there is what a"
        " reverse shell has, and what inetd and ssh have.",
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
        "read": rate(layers.FILE_READ_BYTES, by=by, **own),
        "written": rate(layers.FILE_WRITTEN_BYTES, by=by, **own),
        "operations": both_rates(*_OPERATIONS, by=by, **own),
        "fds": total(fds.OPEN_FDS, by=by, **own),
        "limit": total(fds.MAX_FDS, by=by, **own),
    }
    titles = {name: name for name in columns} | {"fds": "open fds", "limit": "fd limit"}
    return Table(
        title="Processes of this name",
        description="One row per pid, all pids of the name; an empty pid holds those that were"
        " summed: short-lived ones, ended ones, and what is past the limit of series.",
        targets=column_queries(columns),
        transformations=merged(by, titles, sort_by="read"),
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
