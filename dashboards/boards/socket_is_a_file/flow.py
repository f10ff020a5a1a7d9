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
from fdscope.dashboards.promql.expressions import both_rates, named, rate, top
from fdscope.exporter.catalog import layers, storage

_BACK = "10s"
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


def _edge(expression: str, source: tuple[str, str], target: tuple[str, str]) -> str:
    """Write ids of both ends, ``layer: word``, from (layer, label)."""
    for end, (layer, label) in (("source", source), ("target", target)):
        expression = named(expression, end, f"{layer}: $1", label)
    return f"sum by (source, target) ({expression})"


def _busiest(expression: str) -> str:
    """Keep the fd types with the most bytes: some sockets, some others."""
    metric = layers.LEDGER_DOOR_BYTES
    chosen = " or ".join(
        top(_FD_TYPES, rate(metric, ("fd_type",), _BACK, fd_type=types))
        for types in (SOCKETS, NO_SOCKETS)
    )
    return f"({expression} and on (fd_type) ({chosen}))"


def _each(expression: str) -> str:
    """Keep the highest of each fd type."""
    return f"topk by (fd_type) ({_EACH}, {expression} > 0)"


def _edges() -> str:
    fd_type, protocol = ("file layer", "fd_type"), ("socket layer", "fd_type")
    door = ("door", "door")
    processes = _busiest(both_rates(*_FILES, by=("process", "door", "fd_type"), offset=_BACK))
    pairs = f"sum by (process, door) ({processes})"
    doors = _busiest(rate(layers.LEDGER_DOOR_BYTES, ("door", "fd_type"), _BACK))
    protocols = _busiest(rate(layers.LEDGER_SOCKET_BYTES, ("fd_type",), _BACK))
    filesystems = _busiest(both_rates(*_FILESYSTEMS, by=("fd_type", "filesystem"), offset=_BACK))
    ends = _busiest(both_rates(*_SOCKETS, by=("fd_type", "scope"), offset=_BACK))
    parts = (
        _edge(top(_PROCESSES, pairs), ("process", "process"), door),
        _edge(_each(doors), door, fd_type),
        _edge(f"{protocols} > 0", fd_type, protocol),
        _edge(_each(filesystems), fd_type, ("filesystem", "filesystem")),
        _edge(_each(ends), protocol, ("end", "scope")),
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
        title="Which process, through which door, to where, in kB/s",
        description="Thousands of bytes per second, both directions together. From the left: the"
        f" {_PROCESSES} busiest pairs of process and door, the doors, the busiest fd types at the"
        " file layer, then for sockets the socket layer, by its own counters, and for files the"
        f" filesystem. The last column shows the scope of a socket's peer. Shown are the"
        f" {_FD_TYPES} busiest kinds of socket and of other files, each with its {_EACH} busiest"
        " doors. The numbers are ten seconds old, so that all of them are complete.",
        targets=[table(edges_with_id, "edges"), table(_nodes(edges), "nodes")],
        transformations=_transformations(),
        options={
            "nodes": {"arcs": arcs},
            "edges": {},
        },
        empty="no process reads or writes at the moment",
        unit="",
        width=width,
        rows=rows,
    )
