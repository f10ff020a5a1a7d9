# SPDX-License-Identifier: GPL-2.0-only
"""The landing page: what ``page.html`` says of this exporter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib import resources
from string import Template

from exporter.options import HEALTHY_PATH, READY_PATH


@dataclass(frozen=True, slots=True)
class PageData:
    """What the landing page shows."""

    version: str
    mode: str
    attachments: Sequence[Mapping[str, str]]
    """Rows with ``function``, ``layer``, ``mode``, ``state``, ``why``; see ``probes.loader``."""
    not_traced: Sequence[str]
    """Lines of the form ``what: why``."""


def render(data: PageData, telemetry_path: str) -> str:
    """Write the landing page: HTML that needs nothing else."""
    return _template().substitute(
        version=escape(data.version),
        mode=escape(data.mode),
        attached=sum(row["state"] == "attached" for row in data.attachments),
        hooks=len(data.attachments),
        metrics=escape(telemetry_path),
        healthy=HEALTHY_PATH,
        ready=READY_PATH,
        rows="".join(_row(row) for row in data.attachments),
        blind="".join(_item(line) for line in data.not_traced),
    )


def _row(row: Mapping[str, str]) -> str:
    cells = {name: escape(row.get(name, "")) for name in ("function", "layer", "mode", "why")}
    state = escape(row.get("state", ""))
    return (
        f"<tr><td><code>{cells['function']}</code>"
        f'<td><b class="{state}">{state}</b><td>{cells["layer"]}<td>{cells["mode"]}'
        f"<td>{cells['why']}"
    )


def _item(line: str) -> str:
    what, _, why = line.partition(": ")
    return f"<li><b>{escape(what)}</b><br>{escape(why)}"


@cache
def _template() -> Template:
    return Template((resources.files("exporter") / "page.html").read_text(encoding="utf-8"))
