# SPDX-License-Identifier: GPL-2.0-only
"""The ledger: the socket layer against the doors of the file layer."""

from fdscope.dashboards.grafana import style
from fdscope.dashboards.grafana.panels import Stat, Table, TimeSeries
from fdscope.dashboards.grafana.queries import instant, query
from fdscope.dashboards.grafana.tables import column_queries, merged
from fdscope.dashboards.promql.expressions import Matcher, growth, matches, rate, select, total
from fdscope.dashboards.promql.selectors import of_kinds
from fdscope.exporter.catalog import SOCKET_KINDS, layers, storage

_SOCKETS = of_kinds(*SOCKET_KINDS)
SOCKETS, NO_SOCKETS = matches(_SOCKETS), Matcher("!~", _SOCKETS)
_NO_SOCKET = "no socket has been used since the exporter started"


def ledger_table(width: int, rows: int) -> Table:
    """All terms of the equation, in bytes since the exporter started, both directions."""
    terms = {
        "doors": (layers.LEDGER_DOOR_BYTES, "through doors"),
        "blind": (layers.LEDGER_BLIND_BYTES, "of these blind"),
        "socket": (layers.LEDGER_SOCKET_BYTES, "socket layer"),
        "residual": (layers.LEDGER_RESIDUAL_BYTES, "unexplained"),
    }
    columns = {"all": total(layers.LEDGER_DOOR_BYTES, by=("fd_type",), fd_type=SOCKETS)}
    titles = {"all": "both"}
    for direction in ("sent", "received"):
        for term, (metric, title) in terms.items():
            columns[direction + term] = total(
                metric, by=("fd_type",), fd_type=SOCKETS, direction=direction
            )
            titles[direction + term] = f"{direction}: {title}"
    columns["kernel"] = total(layers.LEDGER_KERNEL_BYTES, by=("fd_type",), fd_type=SOCKETS)
    titles["kernel"] = "kernel's own"
    unexplained = style.thresholds((style.GOOD, None), (style.BAD, 1))
    return Table(
        title="The ledger: every byte explained",
        description="Bytes since the exporter started, exact: they are not rates. The bytes through"
        " the doors, less those of the blind ones (splice and sendfile out of a socket), are"
        " what the socket layer counted by separate hooks; what is left is unexplained and"
        " should be 0. Sockets of the kernel itself have no file, so no door. The fd types with the"
        " most bytes come first.",
        targets=column_queries(columns),
        transformations=merged(("fd_type",), titles, sort_by=titles["all"], hide=("Value #all",)),
        unit="locale",
        defaults={"decimals": 0},
        overrides=[
            style.override_matching(
                "unexplained$",
                thresholds={"mode": "absolute", "steps": unexplained},
                custom_cellOptions={"type": "color-text"},
            ),
        ],
        empty=_NO_SOCKET,
        width=width,
        rows=rows,
    )


def two_layers(width: int, rows: int) -> TimeSeries:
    """Both sides as lines, which should coincide."""
    doors = rate(layers.LEDGER_DOOR_BYTES, fd_type=SOCKETS)
    blind = rate(layers.LEDGER_BLIND_BYTES, fd_type=SOCKETS)
    at_file, at_socket = "file layer, through the doors", "socket layer, by its own hooks"
    return TimeSeries(
        title="Two layers, the same bytes",
        description="All sockets of processes, both directions: bytes through the doors of"
        " the file layer (without blind doors) and bytes that the socket layer counted. Separate"
        " hooks count the two, and their lines coincide.",
        targets=[
            query(f"{doors} - {blind}", at_file),
            query(rate(layers.LEDGER_SOCKET_BYTES, fd_type=SOCKETS), at_socket),
        ],
        unit="Bps",
        defaults={"min": 0},
        overrides=[
            style.override(
                at_file,
                color={"mode": "fixed", "fixedColor": style.ORANGE},
                custom_lineWidth=6,
                custom_fillOpacity=0,
            ),
            style.override(
                at_socket,
                color={"mode": "fixed", "fixedColor": style.BLUE},
                custom_lineWidth=2,
                custom_fillOpacity=0,
            ),
        ],
        empty=_NO_SOCKET,
        width=width,
        rows=rows,
    )


def call_chains(width: int, rows: int) -> Table:
    """Functions from the door down to the socket layer, from sampled stacks."""
    by = ("fd_type", "direction", "path")
    samples = growth(storage.SOCKET_STACKS, by=by, window="$__range")
    return Table(
        title="The path down, from the kernel's own stacks",
        description="Functions of the kernel from the door to the socket layer, sampled: read()"
        " and write() pass vfs_read and vfs_write, send() and recv() do not, and all come to the"
        " socket layer. The exporter samples only with --probe.stacks.",
        targets=column_queries({"samples": f"topk(20, {samples} > 0)"}),
        transformations=merged(by, {"samples": "samples"}, sort_by="samples"),
        overrides=[
            style.override("fd type", custom_width=110),
            style.override("direction", custom_width=90),
            style.override("samples", custom_width=90, decimals=0),
        ],
        empty="not sampled: start the exporter with --probe.stacks",
        width=width,
        rows=rows,
    )


def unexplained(width: int, rows: int) -> Stat:
    """The residual, in bytes."""
    return Stat(
        title="Unexplained bytes",
        description="Residual of the ledger since the exporter started: the difference between the"
        " socket layer and the doors. 0 means that every byte is explained.",
        targets=[instant(f"sum({select(layers.LEDGER_RESIDUAL_BYTES)})")],
        unit="decbytes",
        thresholds=style.thresholds((style.GOOD, None), (style.BAD, 1)),
        empty=_NO_SOCKET,
        width=width,
        rows=rows,
    )
