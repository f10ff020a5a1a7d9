# SPDX-License-Identifier: GPL-2.0-only
"""The diagram: the layers from application to device, and the bytes between them now."""

from collections.abc import Iterable
from typing import Any

from fdscope.dashboards.grafana import canvas, style
from fdscope.dashboards.grafana.canvas import SHARE, Drawing, Place
from fdscope.dashboards.grafana.layout import link_to
from fdscope.dashboards.grafana.panels import Canvas
from fdscope.dashboards.grafana.queries import Query, instant
from fdscope.dashboards.promql.expressions import NOW, both_rates, named, rate, select, total
from fdscope.dashboards.promql.selectors import of_kinds
from fdscope.exporter.catalog import FdKind, fds, health, layers, storage

# Data of the diagram: a field with a fixed name for every number and flow, 0 included.

DIRECTIONS = ("sent", "received")
DOORS = {
    "read_write": "read, write",
    "vectored": "readv, writev",
    "socket_call": "send, recv",
    "sendfile": "sendfile",
    "splice": "splice",
    "copy_file_range": "copy_\u200bfile_\u200brange",
    "io_uring": "io_uring",
    "aio": "aio",
    "directory_call": "getdents",
    "mqueue_call": "mq_send",
}
PATTERNS = {FdKind.EVENT.label: ".*"} | {
    kind.label: of_kinds(kind) for kind in FdKind if kind is not FdKind.EVENT
}
"""Fd types of each part; later entries override earlier ones, so the first is the rest."""
SOCKETS = {"tcp": "TCP", "udp": "UDP", "unix": "unix", "socket": "other sockets"}
OTHERS = {
    "pipe": "pipe, queue",
    "device_file": "device file",
    "event": "event, timer, other",
    "file": "filesystem",
}
PARTS = (*SOCKETS, *OTHERS)
"""Parts behind the file, coarser than fd types: so many boxes fit on a line."""

ALL = "file layer"
PACKETS, FANOTIFY = "packet sockets", "fanotify groups"
LOOPBACK, NETWORK, BLOCK = "loopback device", "network device", "block device"

_NOUGHT = f"0 * max({select(health.BUILD)})"


def at_socket_layer(part: str) -> str:
    """Name of the field with a part's bytes at the socket layer."""
    return f"{part} at the socket layer"


def through_doors(part: str) -> str:
    """Name of the field with a part's bytes through the doors, without blind ones."""
    return f"{part} through the doors"


def _or_zero(expression: str, label: str = "", values: Iterable[str] = ()) -> str:
    """Add 0 for what has not been seen yet, while the exporter answers."""
    noughts = [named(_NOUGHT, label, value) for value in values] if label else [_NOUGHT]
    return " or ".join((expression, *noughts))


def _with_parts(expression: str) -> str:
    for part, pattern in PATTERNS.items():
        expression = named(expression, "part", part, "fd_type", pattern)
    return expression


def _doors(direction: str) -> str:
    metric = layers.LEDGER_DOOR_BYTES
    return _or_zero(rate(metric, ("door",), NOW, direction=direction), "door", DOORS)


def _parts(direction: str) -> str:
    inner = rate(layers.LEDGER_DOOR_BYTES, ("fd_type",), NOW, direction=direction)
    return _or_zero(f"sum by (part) ({_with_parts(inner)})", "part", PARTS)


def _share(expression: str) -> str:
    """Write the square root of the share of all bytes: small flows stay visible."""
    whole = rate(layers.LEDGER_DOOR_BYTES, seconds=NOW)
    return f"clamp_max(({expression}) / scalar(clamp_min({whole}, 1)), 1) ^ 0.5"


def _flows() -> dict[str, str]:
    """Legend to bytes per second of all arrows."""
    flows = {}
    scoped = {"sent": layers.SOCKET_SENT_BYTES, "received": layers.SOCKET_RECEIVED_BYTES}
    block = {"sent": storage.BLOCK_WRITTEN_BYTES, "received": storage.BLOCK_READ_BYTES}
    for direction in DIRECTIONS:
        flows["{{door}} " + direction] = _doors(direction)
        flows["{{part}} " + direction] = _parts(direction)
        for scope in ("loopback", "remote"):
            flows[f"{scope} {direction}"] = _or_zero(
                rate(scoped[direction], seconds=NOW, scope=scope)
            )
        flows[f"block {direction}"] = _or_zero(rate(block[direction], seconds=NOW))
    return flows


def _numbers() -> dict[str, str]:
    """Legend to value of the numbers in the boxes."""
    doors, by = layers.LEDGER_DOOR_BYTES, ("fd_type",)
    sockets = rate(layers.LEDGER_SOCKET_BYTES, by, NOW)
    seen = f"{rate(doors, by, NOW)} - {rate(layers.LEDGER_BLIND_BYTES, by, NOW)}"
    network = (storage.NETWORK_SENT_BYTES, storage.NETWORK_RECEIVED_BYTES)
    blocks = (storage.BLOCK_WRITTEN_BYTES, storage.BLOCK_READ_BYTES)
    parts = _with_parts(rate(doors, by, NOW))
    return {
        ALL: _or_zero(rate(doors, seconds=NOW)),
        "{{door}}": _or_zero(rate(doors, ("door",), NOW), "door", DOORS),
        "{{part}}": _or_zero(f"sum by (part) ({parts})", "part", PARTS),
        through_doors("{{part}}"): _or_zero(
            f"sum by (part) ({_with_parts(seen)})", "part", SOCKETS
        ),
        at_socket_layer("{{part}}"): _or_zero(
            f"sum by (part) ({_with_parts(sockets)})", "part", SOCKETS
        ),
        PACKETS: _or_zero(rate(layers.FILE_READ_BYTES, seconds=NOW, fd_type="packet")),
        FANOTIFY: _or_zero(total(fds.FANOTIFY_GROUPS, **{"class": "permission"})),
        LOOPBACK: _or_zero(both_rates(*network, seconds=NOW, kind="loopback")),
        NETWORK: _or_zero(both_rates(*network, seconds=NOW, kind="nic")),
        BLOCK: _or_zero(both_rates(*blocks, seconds=NOW)),
    }


def queries() -> list[Query]:
    """All queries of the diagram: instant, because a flow's width is read from the first sample."""
    flows = _flows()
    shares = {name + SHARE: _share(expression) for name, expression in flows.items()}
    fields = flows | shares | _numbers()
    return [instant(expression, legend) for legend, expression in fields.items()]


_LEFT, _WIDTH = 12.0, 88.0
_APP, _FILE, _FRAME = "application", "file layer", "socket layer"
_LAYERS = {
    "application": (1.0, 8.0),
    "system call": (16.0, 11.0),
    "file layer": (34.0, 8.0),
    "component": (49.5, 15.0),
    "filter": (76.0, 7.0),
    "device": (89.0, 10.5),
}
"""Top and height of each layer, in percent of the panel."""
_NOTES = {
    "application": "processes",
    "system call": "the door",
    "file layer": "struct file",
    "component": "behind the file",
    "filter": "what listens in",
    "device": "end of the path",
}


def _place(layer: str, index: int = 0, of: int = 1, span: int = 1) -> Place:
    """Place of the box at an index, where so many fit into the layer."""
    step = (_WIDTH + 1) / of
    top, height = _LAYERS[layer]
    return Place(_LEFT + index * step, top, span * step - 1, height)


def _half(place: Place, index: int) -> Place:
    return Place(place.left + index * place.width / 2, place.top, place.width / 2, place.height)


def _part(place: Place, index: int) -> Place:
    """Place of the upper or lower line of a box; flows pass at its sides."""
    return Place(place.left, place.top + index * place.height / 2, place.width, place.height / 2)


def _below_title(place: Place, part: float = 0.0, of: float = 1.0, title: float = 0.4) -> Place:
    """Place of a line in the box under its title."""
    free = place.height * (1 - title)
    top = place.top + place.height * title + free * part / of
    return Place(place.left, top, place.width, free / of)


def _draw_upper(drawing: Drawing) -> None:
    """Draw application, doors and file layer."""
    for name, text in (
        (_APP, "all processes read and write"),
        (_FILE, "every fd is a struct file, whatever it stands for"),
    ):
        place = _place(name)
        drawing.box(name, "", place, link_to("host"))
        drawing.note(text, _half(place, 0))
    drawing.number(ALL, _half(_place(_APP), 1))
    for index, (door, title) in enumerate(DOORS.items()):
        place = _place("system call", index, len(DOORS))
        drawing.box(f"door {door}", title, place)
        drawing.number(door, _below_title(place), 13)
        middle, reach = place.left + place.width / 2, place.width * 0.2
        drawing.flow(door, _APP, f"door {door}", middle, reach)
        drawing.flow(door, f"door {door}", _FILE, middle, reach)


def _draw_components(drawing: Drawing) -> None:
    """Draw the parts behind the file, with their bytes at the file layer."""
    titles = SOCKETS | OTHERS
    around = _place("component", 0, len(titles), len(SOCKETS))
    frame = Place(around.left - 0.5, around.top - 1.5, around.width + 1, around.height + 6)
    drawing.box(_FRAME, "", frame)
    line = Place(around.left, around.top + around.height, around.width, 4.5)
    drawing.note("above: through the doors; below: the socket layer's own count", line, 12)
    for index, (part, title) in enumerate(titles.items()):
        place = _place("component", index, len(titles))
        drawing.box(f"part {part}", title, place)
        sockets = part in SOCKETS
        field = through_doors(part) if sockets else part
        drawing.number(field, _below_title(place, 0, 2 if sockets else 1, 0.3), 13)
        if sockets:
            field = at_socket_layer(part)
            drawing.number(field, _below_title(place, 1, 2, 0.3), 13)
        drawing.flow(part, _FILE, f"part {part}", place.left + place.width / 2, place.width * 0.2)


def _draw_lower(drawing: Drawing) -> None:
    """Draw filters and devices: sockets on the left, files on the right."""
    count = len(PARTS)
    sockets, files = _place("filter", 0, count, 4), _place("filter", 6, count, 2)
    for name, field, place, text in (
        ("packet filter", PACKETS, sockets, sockets),
        ("access filter", FANOTIFY, files, _half(files, 0)),
    ):
        drawing.box(name, "", place)
        drawing.note(field, _part(text, 0))
        drawing.number(field, _part(text, 1), 13)
    for name, field, title, place in (
        ("loopback", LOOPBACK, "loopback", _place("device", 0, count, 2)),
        ("remote", NETWORK, "network card", _place("device", 2, count, 2)),
        ("block", BLOCK, "disk", _place("device", 7, count)),
    ):
        drawing.box(name, title, place)
        drawing.number(field, _below_title(place))
        upper = "part file" if name == "block" else _FRAME
        drawing.flow(name, upper, name, place.left + place.width / 2, place.width * 0.2)


def _notes() -> list[dict[str, Any]]:
    """Names of the layers at the left, and texts inside of boxes."""
    notes = []
    for name, (top, height) in _LAYERS.items():
        upper = Place(1, top, _LEFT - 2, height / 2)
        lower = Place(1, top + height / 2, _LEFT - 2, height / 2)
        notes += [
            canvas.label(f"layer {name}", name, upper, 15),
            canvas.label(f"note {name}", _NOTES[name], lower, 11),
        ]
    return notes


def poster(width: int, rows: int) -> Canvas:
    """The panel of the diagram."""
    drawing = Drawing()
    _draw_upper(drawing)
    _draw_components(drawing)
    _draw_lower(drawing)
    idle = (style.IDLE, None)
    return Canvas(
        title="From the application to the device, last minute",
        description="Bytes per second between the layers, in both directions: blue is written or"
        " sent, orange is read or received. The width of an arrow is the square root of its share"
        " of all bytes; grey is idle. A box of the socket layer holds two numbers: what came"
        " through the doors of the file layer (without splice and sendfile out of a socket, which"
        " bypass the socket layer's hooks), and below it what the socket layer counted. They are"
        " the same bytes: that is the proof. Between the filesystem and the disk is the page cache,"
        " so these two differ.",
        targets=queries(),
        options={"root": canvas.root(drawing.elements() + _notes())},
        unit="Bps",
        defaults={"min": 0},
        thresholds=style.thresholds(idle),
        overrides=[
            _colored("sent$", style.WRITTEN),
            _colored("received$", style.READ),
            style.override_matching(f"{SHARE}$", unit="percentunit", min=0, max=1),
            style.override(FANOTIFY, unit="short"),
        ],
        empty="no data: is the exporter scraped?",
        width=width,
        rows=rows,
    )


def _colored(pattern: str, color: str) -> dict[str, Any]:
    steps = style.thresholds((style.IDLE, None), (color, 1))
    return style.override_matching(pattern, thresholds={"mode": "absolute", "steps": steps})
