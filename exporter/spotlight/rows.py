# SPDX-License-Identifier: GPL-2.0-only
"""One row for each file of a watched process, as plain values for tables and JSON."""

import errno
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from fdscope.exporter.accounts import devices
from fdscope.exporter.spotlight import names
from fdscope.exporter.spotlight.names import FileName
from fdscope.probes.schema.files import Done, Ends, Operation, Place
from fdscope.probes.schema.slots import UNKNOWN_ERRNO
from fdscope.probes.schema.snapshot import NOTHING, Amount
from fdscope.probes.schema.taxonomy import Account, Birth, Cause, FdType
from fdscope.probes.text import printable

DoneBy = Mapping[Operation, Done]
_READS = (Account.FILE_READ,)
_WRITES = (Account.FILE_WRITE,)


@dataclass(frozen=True, slots=True)
class Peer:
    """Who holds the other end of a pipe, socket or terminal."""

    pid: int
    name: str
    fd: int


class Times(NamedTuple):
    """Seconds of the monotonic clock; 0 for not yet."""

    first_seen: float
    last_used: float
    closed_at: float

    def plus(self, other: "Times") -> "Times":
        """Of both files."""
        first = min(self.first_seen, other.first_seen)
        return Times(first, *map(max, self[1:], other[1:]))


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file, or several that were opened and closed under one name and in one way."""

    fd_type: FdType
    name: FileName
    place: Place
    ends: Ends | None = None
    done: DoneBy = field(default_factory=dict)
    files: int = 1
    """How many struct files it stands for."""
    fds: tuple[int, ...] = ()
    """Descriptors that refer to it now; of a closed one its first, if that was seen."""
    is_open: bool = False
    is_deleted: bool = False
    """The name is not there any more."""
    birth: Birth | None = None
    cause: Cause | None = None
    """Why it was closed; None if it is open, or that was not seen."""
    passed_by: Peer | None = None
    times: Times | None = None
    """None if only its being open was seen."""
    flags: int | None = None
    position: int | None = None
    receive_queue: int | None = None
    send_queue: int | None = None
    peers: tuple[Peer, ...] = ()
    identity: str = ""
    """The same for a file in each view, as long as it is one file; "" if that is not known."""

    @property
    def key(self) -> tuple[Any, ...]:
        """Closed files with the same key are summed."""
        remote = self.ends and (self.ends.remote, self.ends.remote_port)
        how = names.access(self.flags or 0), self.birth, self.cause
        if self.fd_type.is_socket and remote and remote[0]:
            return self.fd_type, remote, *how
        number = None if self.name.text and not self.fd_type.is_socket else self.place.inode
        return self.fd_type, self.name.text, number, *how

    def plus(self, other: "FileRow") -> "FileRow":
        """Both in one; ``other`` is the later one."""
        return replace(
            other,
            done=sum_of(self.done, other.done),
            files=self.files + other.files,
            identity="",
            fds=tuple(sorted({*self.fds, *other.fds}))[:8],
            times=self.times.plus(other.times) if self.times and other.times else other.times,
        )

    def _sum(self, accounts: tuple[Account, ...], failed: bool = False) -> Amount:
        total = NOTHING
        for operation, done in self.done.items():
            if operation.account in accounts and bool(operation.errno) == failed:
                total = total.plus(done.amount)
        return total

    @property
    def read(self) -> Amount:
        """Reads that succeeded."""
        return self._sum(_READS)

    @property
    def written(self) -> Amount:
        """Writes that succeeded."""
        return self._sum(_WRITES)

    @property
    def errors(self) -> int:
        """Operations that failed."""
        return sum(d.amount.operations for o, d in self.done.items() if o.errno)

    @property
    def seconds(self) -> float:
        """Time in calls, waiting included."""
        return sum(d.nanoseconds for d in self.done.values()) / 1e9

    @property
    def protocol_or_filesystem(self) -> str:
        """What is behind the file."""
        if self.fd_type.is_socket:
            return self.fd_type.label
        filesystem = printable(self.place.filesystem)
        return "" if filesystem in ("anon_inodefs", "pipefs") else filesystem

    @property
    def device(self) -> str:
        """The device behind that, as far as it is known."""
        if self.ends and self.ends.interface:
            return names.interface_name(self.ends.interface)
        if self.fd_type in (FdType.BLOCK, FdType.CHARACTER, FdType.TTY):
            return devices.device_number(self.place.device_number)
        return devices.block_device(self.place.device) if self.place.device else ""

    def as_dict(self, now: float) -> dict[str, Any]:
        """For JSON; times as seconds before ``now``."""
        row: dict[str, Any] = {
            "fd_type": self.fd_type.label,
            "name": self.name.text,
            "open": self.is_open,
            "fds": list(self.fds),
            "files": self.files,
            "operations": [_operation(o, d) for o, d in sorted(self.done.items())],
            "opened_by": None if self.birth is None else self.birth.label,
            "closed_by": None if self.cause is None else self.cause.label,
            "age_seconds": _since(self.times and self.times.first_seen, now),
            "idle_seconds": _since(self.times and self.times.last_used, now),
            "inode": self.place.inode or None,
            "filesystem": printable(self.place.filesystem) or None,
            "device": self.device or None,
        }
        if self.identity:
            row["id"] = self.identity
        if self.name.text is None:
            row["why_no_name"] = self.name.why_not
        if not self.name.is_whole:
            row["name_is_whole"] = False
        if self.is_deleted:
            row["deleted"] = True
        if not self.is_open:
            row["closed_seconds_ago"] = _since(self.times and self.times.closed_at, now)
        if self.flags is not None:
            row["access"] = names.access(self.flags)
            row["flags"] = names.flag_words(self.flags)
        if self.position is not None and not self.fd_type.is_socket:
            row["position"] = self.position
        if self.ends is not None:
            row |= _ends(self.fd_type, self.ends)
        if self.is_open and self.fd_type.is_socket:
            row["receive_queue"], row["send_queue"] = self.receive_queue, self.send_queue
        if self.peers:
            row["peers"] = [{"pid": p.pid, "process": p.name, "fd": p.fd} for p in self.peers]
        if self.passed_by:
            row["passed_by"] = {"pid": self.passed_by.pid, "process": self.passed_by.name}
        return row


def _since(moment: float | None, now: float) -> float | None:
    return round(now - moment, 6) if moment else None


def errno_name(number: int) -> str | None:
    """The name of an errno; None for success."""
    if not number:
        return None
    return "other" if number == UNKNOWN_ERRNO else errno.errorcode.get(number, str(number))


def _operation(operation: Operation, done: Done) -> dict[str, Any]:
    return {
        "what": operation.account.label.removeprefix("file_"),
        "door": operation.door.label,
        "errno": errno_name(operation.errno),
        "operations": done.amount.operations,
        "bytes": done.amount.bytes,
        "seconds": round(done.nanoseconds / 1e9, 9) or None,
    }


def _ends(fd_type: FdType, ends: Ends) -> dict[str, Any]:
    return {
        "local": names.address(ends, ends.local, ends.local_port) or None,
        "remote": names.address(ends, ends.remote, ends.remote_port) or None
        if ends.remote_port or ends.peer or ends.remote.strip(b"\0")
        else None,
        "state": names.state(fd_type, ends) or None,
    }


def sum_of(one: DoneBy, other: DoneBy) -> DoneBy:
    """What was done to both."""
    total = dict(one)
    for operation, done in other.items():
        known = total.get(operation)
        total[operation] = (
            done
            if known is None
            else Done(known.amount.plus(done.amount), known.nanoseconds + done.nanoseconds)
        )
    return total
