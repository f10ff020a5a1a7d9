# SPDX-License-Identifier: GPL-2.0-only
"""The live page at ``/``: ``page.html`` is its content before, and without, its scripts."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib import resources
from string import Template

from fdscope.exporter.settings.options import HEALTHY_PATH, READY_PATH
from fdscope.probes.attach.report import HookStatus
from fdscope.probes.hooks.blind_spots import BlindSpot
from fdscope.probes.schema.taxonomy import SOCKET_KINDS, Door, FdKind

DOORS = (
    *(Door.SOCKET_CALL, Door.SENDFILE, Door.SPLICE, Door.IO_URING, Door.AIO, Door.VECTORED),
    *(Door.READ_WRITE, Door.COPY_FILE_RANGE, Door.MQUEUE_CALL, Door.DIRECTORY_CALL),
)
KINDS = (*SOCKET_KINDS, FdKind.EVENT, FdKind.PIPE, FdKind.DEVICE_FILE, FdKind.FILE)
"""Doors and kinds of fd in the picture, from top to bottom: sockets above, files below."""


@dataclass(frozen=True, slots=True)
class PageData:
    """Content of the page that the scripts do not fill."""

    version: str
    mode: str
    attachments: Sequence[HookStatus]
    not_traced: Sequence[BlindSpot]
    """Blind spots of the mode on this kernel."""


def render(data: PageData, telemetry_path: str, details: bool = False) -> str:
    """Write the page; ``details``: this client may see the last hour.

    All links are relative, for a proxy may serve it under a prefix.
    """
    return _template().substitute(
        version=escape(data.version),
        mode=escape(data.mode),
        attached=sum(row.is_attached for row in data.attachments),
        hooks=len(data.attachments),
        order=escape(json.dumps(order())),
        details="yes" if details else "no",
        metrics=escape(telemetry_path.removeprefix("/")),
        healthy=HEALTHY_PATH.removeprefix("/"),
        ready=READY_PATH.removeprefix("/"),
        rows="".join(_row(row) for row in data.attachments),
        blind_count=len(data.not_traced),
        blind="".join(map(_item, data.not_traced)),
    )


def order() -> dict[str, list[str]]:
    """The names of ``doors`` and ``fd_types`` in the picture, from top to bottom."""
    fd_types = (fd_type for kind in KINDS for fd_type in kind.fd_types)
    return {"doors": [d.label for d in DOORS], "fd_types": [t.label for t in fd_types]}


def _row(row: HookStatus) -> str:
    return (
        f"<tr><td><code>{escape(row.function)}</code>"
        f'<td><b class="{row.state}">{row.state}</b><td>{escape(row.layer)}<td>{escape(row.mode)}'
        f"<td>{escape(row.why)}"
    )


def _item(spot: BlindSpot) -> str:
    return f"<li><b>{escape(spot.what)}</b><br>{escape(spot.why)}"


@cache
def _template() -> Template:
    return Template(
        (resources.files("fdscope.exporter.page") / "page.html").read_text(encoding="utf-8")
    )
