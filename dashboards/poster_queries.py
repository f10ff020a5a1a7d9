# SPDX-License-Identifier: GPL-2.0-only
"""What the poster shows: a field for every number and flow, 0 included, by a fixed name."""

from collections.abc import Iterable

from dashboards.canvas import SHARE
from dashboards.promql import both_rates, named, rate, select, total
from dashboards.queries import Query, instant
from dashboards.series import of_kinds
from exporter.catalog import FdKind, devices, fds, itself, layers

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
"""What fd types a part stands for; the later ones count, so the first is the rest."""
SOCKETS = {"tcp": "TCP", "udp": "UDP", "unix": "unix", "socket": "other sockets"}
OTHERS = {
    "pipe": "pipe, queue",
    "device_file": "device file",
    "event": "event, timer, other",
    "file": "filesystem",
}
PARTS = (*SOCKETS, *OTHERS)
"""What stands behind a file, coarser than fd types: so many boxes fit on a line."""

ALL = "file layer"
PACKETS, FANOTIFY = "packet sockets", "fanotify groups"
LOOPBACK, NETWORK, BLOCK = "loopback device", "network device", "block device"

_NOUGHT = f"0 * max({select(itself.BUILD)})"


def at_socket_layer(part: str) -> str:
    """Name the field of a part's bytes as the socket layer counts them."""
    return f"{part} at the socket layer"


def through_doors(part: str) -> str:
    """Name the field of a part's bytes as the doors count them, blind ones apart."""
    return f"{part} through the doors"


def _or_zero(expression: str, label: str = "", values: Iterable[str] = ()) -> str:
    """Fill in 0 for what has not been seen yet, while the exporter is there."""
    noughts = [named(_NOUGHT, label, value) for value in values] if label else [_NOUGHT]
    return " or ".join((expression, *noughts))


def _with_parts(expression: str) -> str:
    for part, pattern in PATTERNS.items():
        expression = named(expression, "part", part, "fd_type", pattern)
    return expression


def _doors(direction: str) -> str:
    metric = layers.LEDGER_DOOR_BYTES
    return _or_zero(rate(metric, by=("door",), direction=direction), "door", DOORS)


def _parts(direction: str) -> str:
    inner = rate(layers.LEDGER_DOOR_BYTES, by=("fd_type",), direction=direction)
    return _or_zero(f"sum by (part) ({_with_parts(inner)})", "part", PARTS)


def _share(expression: str) -> str:
    """Write the square root of the share in all bytes: small flows stay visible."""
    whole = rate(layers.LEDGER_DOOR_BYTES)
    return f"clamp_max(({expression}) / scalar(clamp_min({whole}, 1)), 1) ^ 0.5"


def _flows() -> dict[str, str]:
    """Legend and bytes per second of all that is drawn as an arrow."""
    flows = {}
    scoped = {"sent": layers.SOCKET_SENT_BYTES, "received": layers.SOCKET_RECEIVED_BYTES}
    block = {"sent": devices.BLOCK_WRITTEN_BYTES, "received": devices.BLOCK_READ_BYTES}
    for direction in DIRECTIONS:
        flows["{{door}} " + direction] = _doors(direction)
        flows["{{part}} " + direction] = _parts(direction)
        for scope in ("loopback", "remote"):
            flows[f"{scope} {direction}"] = _or_zero(rate(scoped[direction], scope=scope))
        flows[f"block {direction}"] = _or_zero(rate(block[direction]))
    return flows


def _numbers() -> dict[str, str]:
    """Legend and value of the numbers in the boxes."""
    doors = layers.LEDGER_DOOR_BYTES
    sockets = rate(layers.LEDGER_SOCKET_BYTES, by=("fd_type",))
    seen = f"{rate(doors, by=('fd_type',))} - {rate(layers.LEDGER_BLIND_BYTES, by=('fd_type',))}"
    network = (devices.NETWORK_SENT_BYTES, devices.NETWORK_RECEIVED_BYTES)
    blocks = (devices.BLOCK_WRITTEN_BYTES, devices.BLOCK_READ_BYTES)
    parts = _with_parts(rate(doors, by=("fd_type",)))
    return {
        ALL: _or_zero(rate(doors)),
        "{{door}}": _or_zero(rate(doors, by=("door",)), "door", DOORS),
        "{{part}}": _or_zero(f"sum by (part) ({parts})", "part", PARTS),
        through_doors("{{part}}"): _or_zero(
            f"sum by (part) ({_with_parts(seen)})", "part", SOCKETS
        ),
        at_socket_layer("{{part}}"): _or_zero(
            f"sum by (part) ({_with_parts(sockets)})", "part", SOCKETS
        ),
        PACKETS: _or_zero(rate(layers.FILE_READ_BYTES, fd_type="packet")),
        FANOTIFY: _or_zero(total(fds.FANOTIFY_GROUPS, **{"class": "permission"})),
        LOOPBACK: _or_zero(both_rates(*network, kind="loopback")),
        NETWORK: _or_zero(both_rates(*network, kind="nic")),
        BLOCK: _or_zero(both_rates(*blocks)),
    }


def queries() -> list[Query]:
    """All of them: instant, for a flow's width is read from the first sample."""
    flows = _flows()
    shares = {name + SHARE: _share(expression) for name, expression in flows.items()}
    fields = flows | shares | _numbers()
    return [instant(expression, legend) for legend, expression in fields.items()]
