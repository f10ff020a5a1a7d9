# SPDX-License-Identifier: GPL-2.0-only
"""The ledger: the bytes at the socket layer against the bytes through the file layer's doors.

Separate hooks measure the two sides. For every fd type and direction

    socket = doors - blind + in flight + residual

where blind are the doors whose bytes the kernel moves past the socket layer's hooks, and in flight
is what sendfile and splice have given to a socket and a door will count when they return. The
kernel's own sockets have no file, so no door; their bytes are a separate term.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from fdscope.probes.schema.slots import slot
from fdscope.probes.schema.snapshot import NOTHING_UNDER_WAY, Amount, UnderWay
from fdscope.probes.schema.taxonomy import Account, Door, FdType

_READINGS = 4
"""Within so many readings a call that has passed one layer also passes the other."""


class Side(NamedTuple):
    """One line of the ledger."""

    fd_type: FdType
    direction: str
    """``received`` or ``sent``."""

    def labels(self) -> tuple[str, str]:
        """Label values, in the catalog's order."""
        return self.fd_type.label, self.direction


_SIDES = {
    Account.FILE_READ: "received",
    Account.SOCKET_RECEIVE: "received",
    Account.FILE_WRITE: "sent",
    Account.SOCKET_SEND: "sent",
}
_BLIND_DOORS = {"received": (Door.SPLICE, Door.SENDFILE), "sent": ()}


@dataclass(slots=True)
class Line:
    """The terms of one fd type and direction, in bytes."""

    side: Side
    doors: dict[Door, int] = field(default_factory=dict)
    socket: int = 0
    kernel: int = 0
    under_way: int = 0
    """In flight, as read after the other terms."""
    was_under_way: int = 0
    """In flight, as read before the other terms."""

    @property
    def is_socket(self) -> bool:
        """True for fd types that have a socket layer."""
        return self.side.fd_type.is_socket

    @property
    def blind(self) -> int:
        """Bytes of doors that the socket layer cannot see."""
        return sum(self.doors.get(door, 0) for door in _BLIND_DOORS[self.side.direction])

    @property
    def residual(self) -> int:
        """Unexplained bytes: negative if the doors saw more."""
        return self.socket - self.through_doors - self.under_way

    @property
    def through_doors(self) -> int:
        """Bytes of doors that the socket layer can see."""
        return sum(self.doors.values()) - self.blind

    def minus(self, other: "Line") -> "Line":
        """The terms of this line minus those of ``other``, of the same side."""
        doors = {door: count - other.doors.get(door, 0) for door, count in self.doors.items()}
        return Line(
            self.side,
            {door: count for door, count in doors.items() if count},
            self.socket - other.socket,
            self.kernel - other.kernel,
            self.under_way - other.under_way,
        )

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON; the keys are an interface."""
        return {
            "fd_type": self.side.fd_type.label,
            "direction": self.side.direction,
            "doors": {door.label: count for door, count in self.doors.items()},
            "socket": self.socket,
            "kernel": self.kernel,
            "blind": self.blind,
            "under_way": self.under_way,
            "residual": self.residual if self.is_socket else None,
        }


def ledger(
    accounts: Iterable[Mapping[int, Amount]], under_way: UnderWay = NOTHING_UNDER_WAY
) -> list[Line]:
    """The lines of the ledger, from the amounts of all owners (slot code to amount)."""
    lines: dict[Side, Line] = {}
    for fd_type in {*under_way.before, *under_way.after}:
        side = Side(fd_type, "sent")
        now, then = under_way.after.get(fd_type, 0), under_way.before.get(fd_type, 0)
        lines[side] = Line(side, under_way=now, was_under_way=then)
    for amounts in accounts:
        for code, amount in amounts.items():
            what = slot(code)
            direction = _SIDES.get(what.account)
            if direction is None or what.errno:
                continue
            side = Side(what.fd_type, direction)
            line = lines.setdefault(side, Line(side))
            if isinstance(what.via, Door):
                line.doors[what.via] = line.doors.get(what.via, 0) + amount.bytes
            elif what.kernel:
                line.kernel += amount.bytes
            else:
                line.socket += amount.bytes
    return [lines[side] for side in sorted(lines)]


def since(before: Iterable[Line], after: Iterable[Line]) -> list[Line]:
    """The lines of what was counted between two readings."""
    earlier = {line.side: line for line in before}
    return [line.minus(earlier[line.side]) if line.side in earlier else line for line in after]


class Residuals:
    """The confirmed residuals, in bytes; they never go down.

    The maps are not read in one instant, so the layers of a busy host always differ. But both only
    grow: at some time between two readings the difference was between what the socket layer had at
    the first less the doors at the second, and the other way round. If every byte is explained,
    one number, the bytes in flight when the probes were attached, lies within all these bounds.
    Bounds that exclude it prove that bytes are missing. They count after several such readings,
    because a call in flight has passed one layer and not yet the other.
    """

    def __init__(self) -> None:
        self._readings = 0
        self._before: dict[Side, tuple[int, int]] = {}
        """Bytes at the socket layer, and bytes through doors that it can see or in flight."""
        self._start: dict[Side, tuple[int, int]] = {}
        """Bounds of the difference when the probes were attached."""
        self._recent: dict[Side, deque[int]] = {}
        self._confirmed: dict[Side, int] = {}

    def update(self, lines: Iterable[Line]) -> Mapping[Side, int]:
        """Add a reading; the confirmed bytes by line."""
        self._readings += 1
        for line in lines:
            if line.is_socket:
                self._take(line)
        return self._confirmed

    def _take(self, line: Line) -> None:
        side = line.side
        socket_before, doors_before = self._before.get(side, (0, 0))
        # The doors may have counted a part of what was in flight before they were read: with it the
        # difference is no less than it was then; with what was in flight after that, no more.
        self._before[side] = line.socket, line.through_doors + line.under_way
        least = socket_before - line.through_doors - line.was_under_way
        most = line.socket - doors_before
        low, high = self._start.get(side, (0, 0))
        missing = 0
        if self._readings <= _READINGS:
            self._start[side] = least, most
        else:
            missing = max(least - high, low - most, 0)
            if not missing:
                self._start[side] = max(least, low), min(most, high)
        recent = self._recent.setdefault(side, deque(maxlen=_READINGS))
        recent.append(missing)
        stayed = min(recent) if len(recent) == _READINGS else 0
        self._confirmed[side] = max(self._confirmed.get(side, 0), stayed)


def text(lines: Iterable[Line]) -> str:
    """The lines as a table."""
    rows = [f"{'fd type':16}{'direction':10}{'socket':>14}{'doors':>14}{'residual':>10}  by door"]
    for line in lines:
        if line.is_socket:
            doors = ", ".join(f"{door.label} {count}" for door, count in sorted(line.doors.items()))
            blind = f" (of these not seen by the socket layer: {line.blind})" if line.blind else ""
            moving = f"; in flight {line.under_way}" if line.under_way else ""
            kernel = f"; kernel sockets {line.kernel}" if line.kernel else ""
            rows.append(
                f"{line.side.fd_type.label:16}{line.side.direction:10}{line.socket:>14}"
                f"{sum(line.doors.values()):>14}{line.residual:>10}  {doors}{blind}{moving}{kernel}"
            )
    return "\n".join(rows)
