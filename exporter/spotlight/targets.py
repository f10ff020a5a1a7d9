# SPDX-License-Identifier: GPL-2.0-only
"""Processes by what a user calls them: a pid, a name, or a unit."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from fdscope.exporter.accounts.units import NOWHERE, place_in
from fdscope.probes.text import printable


class NotFoundError(LookupError):
    """Nothing goes by this name; the text says so."""


def pids(targets: Sequence[str], proc: Path = Path("/proc")) -> list[int]:
    """The processes that the targets stand for, each once; NotFoundError for one without any."""
    found: dict[int, None] = {}
    for target in targets:
        mine = list(_pids(target, proc))
        if not mine:
            raise NotFoundError(_why_none(target))
        found |= dict.fromkeys(mine)
    return list(found)


def _why_none(target: str) -> str:
    if _is_number(target):
        return f"there is no process {target}"
    return f"no process, unit or container is called {printable(target)}"


def _is_number(target: str) -> bool:
    return re.fullmatch("[0-9]{1,10}", target) is not None


def _pids(target: str, proc: Path) -> Iterator[int]:
    if _is_number(target):
        if (proc / target / "comm").exists():
            yield int(target)
        return
    for entry in sorted(proc.iterdir(), key=lambda each: (len(each.name), each.name)):
        if not entry.name.isdecimal():
            continue
        with suppress(OSError):
            name = (entry / "comm").read_bytes().rstrip(b"\n")
            if target in (printable(name), _unit(entry)):
                yield int(entry.name)


def _unit(process: Path) -> str:
    """The unit or container of a process, as ``accounts.units`` finds it."""
    place = NOWHERE
    for line in (process / "cgroup").read_bytes().splitlines():
        number, _, path = line.split(b":", 2)
        if number == b"0":
            for part in path.split(b"/")[1:]:
                place = place_in(place, part)
    return place.unit
