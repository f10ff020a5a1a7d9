# SPDX-License-Identifier: GPL-2.0-only
"""What processes and files do in a second: the difference of two documents."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any

from fdscope.exporter.spotlight.report import Document, table
from fdscope.probes.schema.taxonomy import FdKind, FdType
from fdscope.probes.text import printable


@dataclass(frozen=True, slots=True)
class Moved:
    """Bytes, operations and errors: of all time as ints, or in a second."""

    read: float = 0
    written: float = 0
    operations: float = 0
    errors: float = 0

    @property
    def bytes(self) -> float:
        """Both ways."""
        return self.read + self.written

    def plus(self, other: "Moved") -> "Moved":
        """The sum of both."""
        return Moved(
            self.read + other.read,
            self.written + other.written,
            self.operations + other.operations,
            self.errors + other.errors,
        )

    def since(self, before: "Moved", seconds: float) -> "Moved":
        """In a second, between two readings; never below 0."""
        return Moved(
            max(self.read - before.read, 0) / seconds,
            max(self.written - before.written, 0) / seconds,
            max(self.operations - before.operations, 0) / seconds,
            max(self.errors - before.errors, 0) / seconds,
        )

    def as_dict(self) -> dict[str, float]:
        """For JSON, in a second."""
        return {
            "read_bytes_per_second": round(self.read, 3),
            "written_bytes_per_second": round(self.written, 3),
            "operations_per_second": round(self.operations, 3),
            "errors_per_second": round(self.errors, 3),
        }


NOTHING = Moved()


@dataclass(frozen=True, slots=True)
class OfType:
    """The files of one fd type: open descriptors, and what moves through them in a second."""

    open: int = 0
    moved: Moved = NOTHING

    def plus(self, other: "OfType") -> "OfType":
        """The sum of both."""
        return OfType(self.open + other.open, self.moved.plus(other.moved))


class Order(Enum):
    """What processes and files are sorted by, and bars show; the value is the option."""

    BYTES = "bytes"
    OPERATIONS = "operations"
    ERRORS = "errors"
    FDS = "fds"
    NAME = "name"
    PID = "pid"

    def amount(self, of: OfType) -> float:
        """What a bar shows."""
        match self:
            case Order.OPERATIONS:
                return of.moved.operations
            case Order.ERRORS:
                return of.moved.errors
            case Order.FDS:
                return of.open
        return of.moved.bytes


@dataclass(frozen=True)
class Line:
    """A process."""

    pid: int
    name: str
    """Printable."""
    ended: bool
    fds: int | None
    """Open descriptors; None if they could not be counted."""
    types: Mapping[FdType, OfType] = field(default_factory=dict)

    @cached_property
    def moved(self) -> Moved:
        """Through all its files, in a second."""
        return _all(self.types).moved

    def key(self, order: Order) -> tuple[Any, ...]:
        """Sorts the first lines first."""
        match order:
            case Order.NAME:
                return self.name, self.pid
            case Order.PID:
                return (self.pid,)
            case Order.FDS:
                return -(self.fds or 0), -self.moved.bytes, self.pid
        moved = self.moved
        first = order.amount(OfType(0, moved))
        return -first, -moved.bytes, -moved.operations, -(self.fds or 0), self.pid

    def matches(self, text: str) -> bool:
        """True if the process is meant by a filter: its pid, or a part of its name or fd types."""
        text = text.lower()
        names = (t.label for t, of in self.types.items() if of.open or of.moved != NOTHING)
        return text == str(self.pid) or any(text in each for each in (self.name.lower(), *names))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "pid": self.pid,
            "process": self.name,
            "ended": self.ended,
            "open_fds": self.fds,
            **self.moved.as_dict(),
            "fd_types": _types_as_dict(self.types),
        }


@dataclass(frozen=True, slots=True)
class Sheet:
    """All processes between two looks."""

    mode: str
    version: str
    seconds: float
    """Between the looks; 0 if there was only one: then all rates are 0."""
    lines: tuple[Line, ...]
    types: Mapping[FdType, OfType]
    """The sum of all."""
    unattributed: int
    """Operations that had no room under a process meanwhile."""

    def sorted(self, order: Order, text: str = "") -> list[Line]:
        """The lines that a filter leaves, in order."""
        lines = (line for line in self.lines if not text or line.matches(text))
        return sorted(lines, key=lambda line: line.key(order))

    def as_dict(self, order: Order) -> dict[str, Any]:
        """For JSON."""
        return {
            "fdscope": self.version,
            "mode": self.mode,
            "seconds": round(self.seconds, 6),
            "fd_types": _types_as_dict(self.types),
            "processes": [line.as_dict() for line in self.sorted(order)],
            "unattributed_operations": self.unattributed,
        }


def _types_as_dict(types: Mapping[FdType, OfType]) -> dict[str, Any]:
    return {t.label: {"open_fds": of.open, **of.moved.as_dict()} for t, of in types.items()}


def _all(types: Mapping[FdType, OfType]) -> OfType:
    total = OfType()
    for of in types.values():
        total = total.plus(of)
    return total


_BY_LABEL = {each.label: each for each in FdType}


def _fd_type(label: str) -> FdType:
    """The fd type of a word; OTHER for one that this version does not know."""
    return _BY_LABEL.get(label, FdType.OTHER)


def between(before: Document | None, after: Document) -> Sheet:
    """The processes of two documents of ``Lens.host()``: the rates of the time between them.

    A process that is not in the first has begun to count meanwhile. Left out is one that did
    nothing meanwhile and holds nothing: it has ended, or is a thread of the kernel.
    """
    seconds = after["now"] - before["now"] if before else 0.0
    known = {(p["pid"], p["start"]): p["moved"] for p in before["processes"]} if before else {}
    lines = []
    for each in after["processes"]:
        earlier = known.get((each["pid"], each["start"]), {}) if before else each["moved"]
        line = _line(each, earlier, seconds or 1.0)
        if line.moved != NOTHING or not (line.ended or line.fds == 0):
            lines.append(line)
    types: dict[FdType, OfType] = {}
    for line in lines:
        for fd_type, of in line.types.items():
            types[fd_type] = types.get(fd_type, OfType()).plus(of)
    lost = after["unattributed"]["operations"]
    return Sheet(
        printable(after["mode"]),
        printable(after["fdscope"]),
        seconds,
        tuple(lines),
        types,
        lost - before["unattributed"]["operations"] if before else 0,
    )


def _line(process: Document, earlier: Document, seconds: float) -> Line:
    types: dict[FdType, OfType] = {}
    fds: Mapping[str, int] | None = process["fds"]
    for label, count in (fds or {}).items():
        types[_fd_type(label)] = OfType(count)
    for label, moved in process["moved"].items():
        rate = Moved(**moved).since(Moved(**earlier.get(label, {})), seconds)
        fd_type = _fd_type(label)
        types[fd_type] = types.get(fd_type, OfType()).plus(OfType(0, rate))
    return Line(
        process["pid"],
        printable(process["process"]),
        process["ended"],
        None if fds is None else sum(fds.values()),
        types,
    )


# Files of one process, from two documents of ``Lens.look()``.


@dataclass(frozen=True)
class FileLine:
    """A file, or several closed ones of one name, and what it did since the look before."""

    file: Document
    total: Moved
    """Since it is watched."""
    rate: Moved

    @property
    def fd_type(self) -> FdType:
        """Its type."""
        return _fd_type(self.file["fd_type"])

    @property
    def identity(self) -> tuple[Any, ...]:
        """The same from look to look, while its first descriptor and its name stay."""
        return identity(self.file)

    @property
    def fds(self) -> str:
        """Its descriptors, or why it has none."""
        return ",".join(map(str, self.file["fds"])) if self.file["open"] else "closed"

    def key(self, order: Order) -> tuple[Any, ...]:
        """Sorts the first lines first."""
        by_fd = not self.file["open"], self.file["fds"]
        match order:
            case Order.NAME:
                return (self.file["name"] or "", *by_fd)
            case Order.FDS | Order.PID:
                return by_fd
        first = order.amount(OfType(0, self.rate)), order.amount(OfType(0, self.total))
        return (-first[0], -first[1], *by_fd)

    def matches(self, text: str) -> bool:
        """True if a filter means the file: a part of its name or fd type."""
        text = text.lower()
        return text in (self.file["name"] or "").lower() or text in self.file["fd_type"]


def identity(file: Document) -> tuple[Any, ...]:
    """What a file is known by from look to look."""
    return (
        file["fd_type"],
        file["inode"],
        file["name"],
        file["open"],
        *(file["fds"][:1] if file["open"] else (file["opened_by"], file["closed_by"])),
    )


def file_lines(before: Document | None, after: Document) -> list[FileLine]:
    """The files of a process in two documents' ``processes``, with rates of the time between."""
    seconds = after["watched_seconds"] - before["watched_seconds"] if before else 0.0
    known: dict[tuple[Any, ...], Moved] = {}
    for file in before["files"] if before else ():
        known[identity(file)] = known.get(identity(file), NOTHING).plus(moved_by(file))
    lines = []
    for file in after["files"]:
        total = moved_by(file)
        # Without an earlier look all of it is since the watching began.
        rate = total.since(known.get(identity(file), NOTHING), seconds) if seconds > 0 else NOTHING
        lines.append(FileLine(file, total, rate))
    return lines


def file_types(lines: Iterable[FileLine]) -> dict[FdType, OfType]:
    """Open descriptors and rates by fd type."""
    types: dict[FdType, OfType] = {}
    for line in lines:
        of = OfType(len(line.file["fds"]) if line.file["open"] else 0, line.rate)
        types[line.fd_type] = types.get(line.fd_type, OfType()).plus(of)
    return types


def moved_by(file: Document) -> Moved:
    """What a file did since it is watched."""
    read = written = operations = errors = 0
    for each in file["operations"]:
        operations += each["operations"]
        if each["errno"]:
            errors += each["operations"]
        elif each["what"] == "read":
            read += each["bytes"]
        elif each["what"] == "write":
            written += each["bytes"]
    return Moved(read, written, operations, errors)


# Texts.


def short(value: float) -> str:
    """A number in at most six characters: 0, 12.3, 4567, 89.1k, 2.34M."""
    if value < 99.95 and value != int(value):
        return f"{value:.1f}" if value >= 0.05 else "<0.1"
    if value < 9999.5:
        return f"{value:.0f}"
    for unit in "kMGTP":
        value /= 1000
        if value < 999.5 or unit == "P":
            return f"{value:.{0 if value >= 99.95 else 1 if value >= 9.995 else 2}f}{unit}"
    return ""  # not reached


def shares(types: Mapping[FdType, OfType], order: Order) -> list[tuple[FdType, float]]:
    """The fd types by their share, the largest first; of open descriptors if nothing moves."""
    amounts = {t: order.amount(of) for t, of in types.items()}
    if not any(amounts.values()):
        amounts = {t: float(of.open) for t, of in types.items()}
    total = sum(amounts.values())
    ranked = sorted(amounts.items(), key=lambda each: (-each[1], each[0]))
    return [(t, amount / total) for t, amount in ranked if amount]


def kind_of(fd_type: FdType) -> FdKind:
    """The group of an fd type."""
    return next(kind for kind in FdKind if fd_type in kind.fd_types)


_HEAD = ("PID", "PROCESS", "READ/s", "WRITTEN/s", "OPS/s", "ERRORS/s", "FDS", "TYPES")
_RIGHT = (0, 2, 3, 4, 5, 6)


def sheet_text(sheet: Sheet, order: Order) -> str:
    """The table of ``fdscope top --once``: one line for each process."""
    lines = table(_HEAD, _rows(sheet, order), _RIGHT)
    if sheet.unattributed:
        lines += ["", f"lost because a map was full: {sheet.unattributed:,} operations"]
    return "\n".join(lines)


def _rows(sheet: Sheet, order: Order) -> Iterator[tuple[str, ...]]:
    for line in sheet.sorted(order):
        moved = line.moved
        yield (
            str(line.pid),
            line.name + " (ended)" * line.ended,
            *map(_plain, (moved.read, moved.written, moved.operations, moved.errors)),
            "-" if line.fds is None else f"{line.fds:,}",
            ", ".join(
                f"{t.label} {share:.0%}"
                for t, share in shares(line.types, order)[:3]
                if share >= 0.005
            ),
        )


def _plain(value: float) -> str:
    """With all its digits, and a tenth where it is small."""
    return f"{value:,.0f}" if value >= 9.95 or value == int(value) else f"{value:.1f}"
