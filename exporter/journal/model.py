# SPDX-License-Identifier: GPL-2.0-only
"""An event as the journal writes it: one JSON object a line, of a published version.

The schema is docs/events.schema.json. All text in it is printable.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum

VERSION = 1
"""Of the lines; a field may be added without a change of it, none removed."""


class Severity(Enum):
    """How unusual an event is: ``critical`` act now, ``warning`` look, ``info`` a record."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Parent:
    """A process that started the one below it."""

    pid: int
    name: str


@dataclass(frozen=True, slots=True)
class Who:
    """A process. What is not known, or gone, is None."""

    name: str
    pid: int
    start: str
    """Wall clock, RFC 3339."""
    uid: int
    user: str | None
    unit: str | None
    """Systemd unit; None outside of units, and in containers."""
    container: str | None
    """The first 12 digits of its id."""
    program: str | None = None
    """Path of the executable file, or its end."""
    command: str | None = None
    """The command line, cut at a stated length."""
    command_is_cut: bool = False
    terminal: str | None = None
    parents: tuple[Parent, ...] = ()
    """Nearest first, up to init unless the chain was too long."""


@dataclass(frozen=True, slots=True)
class What:
    """What a descriptor refers to."""

    fd: int | None
    fd_type: str
    birth: str
    name: str
    inode: int
    device: str
    """Of its filesystem: major:minor."""
    rdev: str | None
    """Of the device that it stands for."""
    writable: bool
    protocol: int | None = None
    scope: str | None = None
    local: str | None = None
    """Address and port of a socket."""
    remote: str | None = None
    state: str | None = None
    """Of a TCP socket."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event."""

    kind: str
    severity: Severity
    rule: str
    """Which rule made it unusual; docs/events.md has them."""
    text: str
    """The event in words."""
    time: int
    """Nanoseconds of the wall clock."""
    monotonic: int
    """Nanoseconds of the monotonic clock."""
    process: Who | None = None
    other: Who | None = None
    """The process that was accessed, or that passed the fd on."""
    file: What | None = None
    facts: Mapping[str, int | str] = field(default_factory=dict)
    """Further values: thresholds, numbers, the errno."""
    runbook: str | None = None


def stamp(nanoseconds: int) -> str:
    """Wall clock as RFC 3339 with microseconds, in UTC."""
    from datetime import UTC, datetime

    moment = datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds // 1000 % 1_000_000:06}Z"


def as_dict(event: Event, host: str) -> dict[str, object]:
    """The fields of a line, in order."""
    return {
        "version": VERSION,
        "time": stamp(event.time),
        "monotonic_ns": event.monotonic,
        "host": host,
        "kind": event.kind,
        "severity": event.severity.value,
        "rule": event.rule,
        "text": event.text,
        "process": asdict(event.process) if event.process else None,
        "other": asdict(event.other) if event.other else None,
        "file": asdict(event.file) if event.file else None,
        "facts": dict(event.facts),
        "runbook": event.runbook,
    }


def line(event: Event, host: str) -> str:
    """One line of JSON without its end, all of it ASCII."""
    return json.dumps(as_dict(event, host), separators=(",", ":"))
