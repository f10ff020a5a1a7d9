# SPDX-License-Identifier: GPL-2.0-only
"""House style: colours that colour-blind people can distinguish, in both themes.

One word has one colour on every dashboard. The hues are those of Paul Tol's qualitative schemes.
"""

from typing import Any

BLUE, CYAN, GREEN, YELLOW = "#4477AA", "#66CCEE", "#228833", "#CCBB44"
RED, PURPLE, GREY, ORANGE = "#EE6677", "#AA3377", "#999999", "#EE7733"
TEAL, MAGENTA, OLIVE, INDIGO = "#009988", "#EE3377", "#999933", "#8877CC"

READ, WRITTEN = ORANGE, BLUE
GOOD, WATCH, BAD = BLUE, ORANGE, PURPLE
IDLE = GREY

DOORS = {
    "read_write": BLUE,
    "vectored": CYAN,
    "socket_call": ORANGE,
    "sendfile": GREEN,
    "splice": YELLOW,
    "copy_file_range": OLIVE,
    "io_uring": PURPLE,
    "aio": GREY,
    "directory_call": TEAL,
    "mqueue_call": MAGENTA,
}
FD_TYPES = {
    "tcp": BLUE,
    "udp": CYAN,
    "unix_stream": PURPLE,
    "unix_dgram": MAGENTA,
    "unix_seqpacket": RED,
    "netlink": INDIGO,
    "packet": TEAL,
    "regular": YELLOW,
    "fifo": GREEN,
    "tty": OLIVE,
    "character": GREY,
    "eventfd": ORANGE,
    # the rarer ones, between the hues, no two the same
    "other": "#EE8866",
    "directory": "#77AADD",
    "block": "#44BB99",
    "raw": "#BB88CC",
    "icmp": "#CCAA44",
    "sctp": "#CC6677",
    "vsock": "#5599AA",
    "socket_other": "#88AA55",
    "eventpoll": "#AA6644",
    "timerfd": "#9966FF",
    "signalfd": "#DD77AA",
    "inotify": "#6688EE",
    "fanotify": "#55AA77",
    "io_uring": "#BB9977",
    "pidfd": "#AA4466",
    "memfd": "#7799AA",
    "bpf": "#AAAA66",
    "perf_event": "#CC8844",
    "userfaultfd": "#8866AA",
    "anon_other": "#66BB66",
    "mqueue": "#DD6655",
    "path": "#BBAA99",
    "namespace": "#6699CC",
}
LAYERS = {
    "file layer": ORANGE,
    "socket layer": BLUE,
    "loopback": CYAN,
    "network cards": PURPLE,
    "disks": YELLOW,
}
SCOPES = {"loopback": CYAN, "remote": BLUE, "local": PURPLE, "unknown": GREY}
DIRECTIONS = {"read": READ, "received": READ, "written": WRITTEN, "sent": WRITTEN}

DOWNWARDS: dict[str, Any] = {
    "custom_transform": "negative-Y",
    "custom_hideFrom": {"legend": True, "tooltip": False, "viz": False},
}
"""For bytes written: downwards, with the name and colour of bytes read upwards."""

BOTH_WAYS = {"axisLabel": "written or sent  |  read or received"}
"""For the axis of such a graph: what is below zero, and what above."""


def thresholds(*steps: tuple[str, float | None]) -> list[dict[str, Any]]:
    """Steps of a threshold: colour, and the value from which on it holds (None: the first)."""
    return [{"color": color, "value": value} for color, value in steps]


def fixed(name: str, color: str) -> dict[str, Any]:
    """Give the field of this name its colour."""
    return override(name, color={"mode": "fixed", "fixedColor": color})


SMALL = {"titleSize": 16, "valueSize": 24}
"""Text of a number with a name, which Grafana would make tiny in a low panel."""


def override(name: str, **properties: Any) -> dict[str, Any]:
    """Set properties of the field of this name; ``custom_x`` stands for ``custom.x``."""
    return _override({"id": "byName", "options": name}, properties)


def override_matching(pattern: str, **properties: Any) -> dict[str, Any]:
    """Set properties of the fields that a regular expression finds."""
    return _override({"id": "byRegexp", "options": f"/{pattern}/"}, properties)


def override_query(ref_id: str, **properties: Any) -> dict[str, Any]:
    """Set properties of all fields of a query."""
    return _override({"id": "byFrameRefID", "options": ref_id}, properties)


def _override(matcher: dict[str, str], properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "matcher": matcher,
        "properties": [
            {"id": name.replace("custom_", "custom.", 1), "value": value}
            for name, value in properties.items()
        ],
    }


def colors(of: dict[str, str]) -> list[dict[str, Any]]:
    """Overrides that give each word its colour."""
    return [fixed(name, color) for name, color in of.items()]
