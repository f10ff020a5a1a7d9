# SPDX-License-Identifier: GPL-2.0-only
"""Reads what the journal has written, for a person: files, filters, words.

A file can hold anything: nothing in it is trusted.
"""

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from fdscope.exporter.journal.model import Severity
from fdscope.exporter.journal.sinks.file import rotated
from fdscope.probes.text import printable

DEFAULT_FILE = Path("/var/lib/fdscope/events.jsonl")
_MOST_ROTATED = 100
_MOST_LINE = 1 << 20
_LOOK_SECONDS = 0.25
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SEVERITIES = [each.value for each in Severity]
_COLORS = {"critical": "\x1b[1;31m", "warning": "\x1b[33m"}
_PLAIN = "\x1b[0m"

Told = dict[str, Any]


def moment(text: str, now: float) -> float:
    """Unix time of a duration before ``now`` (``90s``, ``10m``, ``2h``, ``1d``), or of RFC 3339.

    ValueError for anything else.
    """
    if match := re.fullmatch(r"([0-9]{1,9})([smhdw])", text):
        return now - int(match[1]) * _UNITS[match[2]]
    with suppress(ValueError, OverflowError):
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.astimezone()).timestamp()
    raise ValueError("is no time such as 10m, 2h, 1d or 2026-01-31T12:00:00")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events are wanted."""

    kinds: frozenset[str] = frozenset()
    """All of them if empty."""
    least: str = Severity.INFO.value
    """The lowest severity."""
    since: float = 0.0
    """Unix time."""

    def has(self, told: Told) -> bool:
        """True if the event is one of them."""
        if self.kinds and _text(told.get("kind")) not in self.kinds:
            return False
        severity = told.get("severity")
        if severity in _SEVERITIES and _SEVERITIES.index(severity) < _SEVERITIES.index(self.least):
            return False
        return not self.since or _seconds(told.get("time")) >= self.since


def _seconds(text: object) -> float:
    with suppress(ValueError, OverflowError):
        if isinstance(text, str):
            found = datetime.fromisoformat(text)
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    return 0.0


def event_in(line: bytes) -> Told | None:
    """The event in a line; None for what is none."""
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) and "kind" in told and "version" in told else None


# Files.


def files(path: Path) -> list[Path]:
    """The file and those that it was before, oldest first."""
    older = [rotated(path, number) for number in range(_MOST_ROTATED, 0, -1)]
    return [*(each for each in older if each.exists()), path]


def lines(path: Path, follow: bool, wait: Callable[[float], None] = time.sleep) -> Iterator[bytes]:
    """The lines of all of them, in order; with ``follow`` also those that are still to come.

    OSError if the file cannot be read.
    """
    with ExitStack() as stack:
        opened = [stack.enter_context(each.open("rb")) for each in files(path)]
        for each in opened[:-1]:
            yield from _whole_lines(each)
        if not follow:
            yield from _whole_lines(opened[-1])
            return
        yield from _followed(path, opened[-1], wait, stack)


def _whole_lines(file: IO[bytes]) -> Iterator[bytes]:
    while line := file.readline(_MOST_LINE):
        yield line


def _followed(
    path: Path, file: IO[bytes], wait: Callable[[float], None], stack: ExitStack
) -> Iterator[bytes]:
    begun = b""
    while True:
        # Asked before the rest is read: what is written before the file is replaced is not missed.
        replaced = _is_replaced(path, file)
        while part := file.readline(_MOST_LINE):
            begun += part
            if begun.endswith(b"\n") or len(begun) >= _MOST_LINE:
                yield begun
                begun = b""
        if not replaced:
            wait(_LOOK_SECONDS)
            continue
        with suppress(FileNotFoundError):
            newer = stack.enter_context(path.open("rb"))
            file.close()
            file, begun = newer, b""
            continue
        wait(_LOOK_SECONDS)


def _is_replaced(path: Path, file: IO[bytes]) -> bool:
    ours = os.fstat(file.fileno())
    try:
        there = path.stat()
    except FileNotFoundError:
        return True
    return (ours.st_dev, ours.st_ino) != (there.st_dev, there.st_ino)


# Words.


def _text(value: object) -> str:
    return printable(value) if isinstance(value, str) else ""


def _part(told: Told, name: str) -> Told:
    value = told.get(name)
    return value if isinstance(value, dict) else {}


def _local(text: object) -> str:
    seconds = _seconds(text)
    if not seconds:
        return "(no time)"
    with suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f%z")
    return "(no time)"


def _chain(parents: object) -> str:
    if not isinstance(parents, list):
        return ""
    known = [each for each in parents if isinstance(each, dict)]
    return ", ".join(f"{_text(each.get('name'))} ({_text(str(each.get('pid')))})" for each in known)


def in_words(told: Told, colors: bool = False) -> str:
    """The event for a person: a sentence, and what else is known, indented below it."""
    severity = _text(told.get("severity")) or "unknown"
    begin, end = (_COLORS.get(severity, ""), _PLAIN) if colors else ("", "")
    head = f"{_local(told.get('time'))} {begin}{severity.upper()}{end if begin else ''}"
    who, other, file = (_part(told, name) for name in ("process", "other", "file"))
    details: Sequence[tuple[str, str]] = (
        ("command", _text(who.get("command")) + (" ..." if who.get("command_is_cut") else "")),
        ("program", _text(who.get("program"))),
        ("terminal", _text(who.get("terminal"))),
        ("started by", _chain(who.get("parents"))),
        ("other's command", _text(other.get("command"))),
        ("from", _text(file.get("local"))),
        ("to", _text(file.get("remote"))),
        ("kind and rule", f"{_text(told.get('kind'))}, {_text(told.get('rule'))}"),
        ("runbook", _text(told.get("runbook"))),
    )
    known = [f"    {name}: {value}" for name, value in details if value.strip()]
    return "\n".join((f"{head} {_text(told.get('text'))}", *known))


def as_json(told: Told) -> str:
    """The event on one line again."""
    return json.dumps(told, separators=(",", ":"))
