# SPDX-License-Identifier: GPL-2.0-only
"""The node graph: process, door, fd type, protocol or filesystem, device; all from data.

Both queries look some seconds back, where all samples are complete: otherwise a scrape between the
two could leave an arrow without its circle, and Grafana refuses to draw that.
"""

from collections.abc import Mapping
from typing import Any

from fdscope.dashboards.boards.socket_is_a_file.ledger import NO_SOCKETS, SOCKETS
from fdscope.dashboards.grafana import style
from fdscope.dashboards.grafana.panels import NodeGraph
from fdscope.dashboards.grafana.queries import table
from fdscope.dashboards.promql.expressions import NOW, Where, both_rates, named, rate, top
from fdscope.exporter.catalog import Metric, layers, storage

_BACK = 10
_PROCESSES, _FD_TYPES, _EACH = 7, 3, 2
_COLORS = {
    "process": style.GREEN,
    "door": style.ORANGE,
    "file layer": style.BLUE,
    "socket layer": style.PURPLE,
    "filesystem": style.YELLOW,
    "end": style.GREY,
}
_FILES = (layers.FILE_READ_BYTES, layers.FILE_WRITTEN_BYTES)
_SOCKETS = (layers.SOCKET_RECEIVED_BYTES, layers.SOCKET_SENT_BYTES)
_FILESYSTEMS = (storage.FILESYSTEM_READ_BYTES, storage.FILESYSTEM_WRITTEN_BYTES)


def _rate(metric: Metric, *by: str, **where: Where) -> str:
    return rate(metric, by, NOW, _BACK, **where)


def _edge(expression: str, source: tuple[str, str], target: tuple[str, str]) -> str:
    """Write ids of both ends, ``layer: word``, from (layer, label) or (layer, word in brackets)."""
    for end, (layer, word) in (("source", source), ("target", target)):
        if word.startswith("("):
            expression = named(expression, end, f"{layer}: {word}")
        else:
            expression = named(expression, end, f"{layer}: $1", word)
    return f"sum by (source, target) ({expression})"


def _chosen() -> str:
    """Match the fd types with the most bytes: some sockets, some others."""
    doors = layers.LEDGER_DOOR_BYTES
    busiest = (top(_FD_TYPES, _rate(doors, "fd_type", fd_type=t)) for t in (SOCKETS, NO_SOCKETS))
    return f"on (fd_type) ({' or '.join(busiest)})"


def _rest(whole: str, shown: str, label: str) -> str:
    """What is left of a whole, by a label; less than a byte is only rounding."""
    part = f"sum by ({label}) ({shown})"
    return f"({whole} - {part} > 1 or {whole} > 0 unless on ({label}) {part})"


def _edges() -> str:
    """All edges: each hop shows all bytes of the hop before, those without a circle together."""
    process, door, file = ("process", "process"), ("door", "door"), ("file layer", "fd_type")
    protocol, filesystem = ("socket layer", "fd_type"), ("filesystem", "filesystem")
    ledger, chosen = layers.LEDGER_DOOR_BYTES, _chosen()
    pairs = both_rates(*_FILES, by=("process", "door"), seconds=NOW, back=_BACK)
    pairs = top(_PROCESSES, pairs)
    doors = f"({_rate(ledger, 'door', 'fd_type')} > 0)"
    files = f"({_rate(ledger, 'fd_type', fd_type=NO_SOCKETS)} and {chosen})"
    stored = both_rates(*_FILESYSTEMS, by=("fd_type", "filesystem"), seconds=NOW, back=_BACK)
    stored = f"(topk by (fd_type) ({_EACH}, {stored} > 0) and on (fd_type) {files})"
    peers = both_rates(*_SOCKETS, by=("fd_type", "scope"), seconds=NOW, back=_BACK)
    parts = (
        _edge(pairs, process, door),
        _edge(_rest(_rate(ledger, "door"), pairs, "door"), ("process", "(others)"), door),
        _edge(f"({doors} and {chosen})", door, file),
        _edge(f"({doors} unless {chosen})", door, ("file layer", "(others)")),
        _edge(f"({_rate(layers.LEDGER_SOCKET_BYTES, 'fd_type')} > 0 and {chosen})", file, protocol),
        _edge(
            f"({_rate(layers.LEDGER_BLIND_BYTES, 'fd_type')} > 0 and {chosen})",
            file,
            ("socket layer", "(passed by)"),
        ),
        _edge(stored, file, filesystem),
        _edge(_rest(files, stored, "fd_type"), file, ("filesystem", "(none, others)")),
        _edge(f"({peers} > 0 and {chosen})", protocol, ("end", "scope")),
    )
    return f"({' or '.join(parts)}) / 1000"


def _arc(layer: str) -> str:
    return "arc__" + layer.replace(" ", "_")


def _nodes(edges: str) -> str:
    """Every end of an edge, with its incoming bytes, or without any, its outgoing ones."""
    incoming = f"sum by (id) ({named(edges, 'id', '$1', 'target')})"
    outgoing = f"sum by (id) ({named(edges, 'id', '$1', 'source')})"
    nodes = f"({incoming} or {outgoing})"
    nodes = named(nodes, "title", "$1", "id", "[^:]*: (.*)")
    nodes = named(nodes, "subtitle", "$1", "id", "([^:]*): .*")
    for layer in _COLORS:
        nodes = named(named(nodes, _arc(layer), "0"), _arc(layer), "1", "id", f"{layer}: .*")
    return nodes


def _on(ref_id: str, transformation: str, options: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": transformation,
        "filter": {"id": "byRefId", "options": ref_id},
        "options": options,
    }


def _unary(ref_id: str, operator: str, field: str, alias: str) -> dict[str, Any]:
    unary = {"operator": operator, "fieldName": field}
    options = {"mode": "unary", "unary": unary, "alias": alias, "replaceFields": False}
    return _on(ref_id, "calculateField", options)


def _without(ref_id: str, *fields: str, names: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Remove fields; give others a display name, and keep their own for the panel."""
    options = {"excludeByName": dict.fromkeys(fields, True), "indexByName": {}}
    return _on(ref_id, "organize", options | {"renameByName": dict(names or {})})


def _binary(ref_id: str, field: str, operator: str, number: str, alias: str) -> dict[str, Any]:
    binary = {
        "left": {"matcher": {"id": "byName", "options": field}},
        "operator": operator,
        "right": {"fixed": number},
    }
    options = {"mode": "binary", "binary": binary, "alias": alias, "replaceFields": False}
    return _on(ref_id, "calculateField", options)


def _transformations() -> list[dict[str, Any]]:
    """Give the numbers the field names that the panel reads; a plain rename does not work."""
    legend = {_arc(layer): layer for layer in _COLORS}
    numbers = [{"targetField": _arc(layer), "destinationType": "number"} for layer in _COLORS]
    return [
        _unary("edges", "abs", "Value #edges", "mainstat"),
        _binary("edges", "mainstat", "+", "1", "above one"),
        _unary("edges", "ln", "above one", "log"),
        _binary("edges", "log", "/", "2", "thickness"),
        _without("edges", "Time", "Value #edges", "above one", "log"),
        _unary("nodes", "abs", "Value #nodes", "mainstat"),
        _on("nodes", "convertFieldType", {"conversions": numbers}),
        _without("nodes", "Time", "Value #nodes", names={"mainstat": "kB/s"} | legend),
    ]


def flow_graph(width: int, rows: int) -> NodeGraph:
    """The panel of the node graph."""
    edges = _edges()
    edges_with_id = f'label_join({edges}, "id", " > ", "source", "target")'
    arcs = [{"field": _arc(layer), "color": color} for layer, color in _COLORS.items()]
    return NodeGraph(
        title="Which process, through which door, to where, last minute",
        description="Thousands of bytes per second, both directions together. From the left: the"
        f" {_PROCESSES} busiest pairs of process and door, the doors, the file layer by fd type,"
        " then for sockets the socket layer, by its own counters, and for files the filesystem."
        " The last column shows the scope of a socket's peer. Shown are the"
        f" {_FD_TYPES} busiest kinds of socket and of other files, and the {_EACH} busiest"
        " filesystems of each; (others) holds the rest, so that what comes into a circle also"
        " leaves it. (passed by) is what splice and sendfile take out of a socket, past the hooks"
        " of the socket layer. The numbers are ten seconds old, so that all of them are complete.",
        targets=[table(edges_with_id, "edges"), table(_nodes(edges), "nodes")],
        transformations=_transformations(),
        options={
            "nodes": {"arcs": arcs, "mainStatUnit": "kB/s"},
            "edges": {"mainStatUnit": "kB/s"},
        },
        empty="no process reads or writes at the moment",
        unit="",
        width=width,
        rows=rows,
    )
