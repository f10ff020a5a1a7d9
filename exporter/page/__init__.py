# SPDX-License-Identifier: GPL-2.0-only
"""The live page at ``/``: ``page.html`` is its content before, and without, its scripts."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib import resources
from string import Template

from fdscope.exporter.accounts.losses import Losses
from fdscope.exporter.settings.options import DOCTOR_PATH, HEALTHY_PATH, READY_PATH
from fdscope.probes.attach.report import HookStatus
from fdscope.probes.hooks.blind_spots import BlindSpot
from fdscope.probes.schema.taxonomy import SOCKET_KINDS, Door, FdKind
from fdscope.probes.selftest.run import Row

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
    losses: Losses | None = None
    """What was lost since the start; None if that is not known."""
    selftest: Sequence[Row] = ()
    """The result of the last one."""

    @property
    def attached(self) -> int:
        """Number of attached hooks."""
        return sum(row.is_attached for row in self.attachments)


def render(data: PageData, telemetry_path: str, details: bool = False) -> str:
    """Write the page; ``details``: this client may see the last hour.

    All links are relative, for a proxy may serve it under a prefix.
    """
    return template("page.html").substitute(
        version=escape(data.version),
        mode=escape(data.mode),
        attached=data.attached,
        hooks=len(data.attachments),
        order=escape(json.dumps(order())),
        details="yes" if details else "no",
        metrics=escape(telemetry_path.removeprefix("/")),
        healthy=HEALTHY_PATH.removeprefix("/"),
        ready=READY_PATH.removeprefix("/"),
        doctor=DOCTOR_PATH.removeprefix("/"),
        blind_count=len(data.not_traced),
    )


def order() -> dict[str, list[str]]:
    """The names of ``doors`` and ``fd_types`` in the picture, from top to bottom."""
    fd_types = (fd_type for kind in KINDS for fd_type in kind.fd_types)
    return {"doors": [d.label for d in DOORS], "fd_types": [t.label for t in fd_types]}


@cache
def template(name: str) -> Template:
    """A file of this folder."""
    return Template((resources.files("fdscope.exporter.page") / name).read_text(encoding="utf-8"))
