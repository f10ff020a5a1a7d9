# SPDX-License-Identifier: GPL-2.0-only
"""From what the kernel side tells to what a person reads: users, units, paths, the whole chain.

A process can be gone, or its number can belong to another one: then only the kernel's part stays.
"""

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from fdscope.exporter.journal.model import Parent, What, Who, stamp
from fdscope.probes.schema.event import EventFile, EventProcess, KernelEvent
from fdscope.probes.schema.taxonomy import tcp_state
from fdscope.probes.text import printable

COMMAND_CHARACTERS = 1024
"""A command line is cut here."""
_MOST_PARENTS = 32
_INIT = 1
_TICKS = os.sysconf("SC_CLK_TCK")
_CONTAINER = re.compile("[0-9a-f]{12}")
_TCP = 6
_CLOCK_WAS_SET = 50_000_000
"""Nanoseconds; a clock that is adjusted slowly moves by less for minutes."""

Unit = Callable[[EventProcess], str]
"""The unit or container of a process; "" outside of both, "(unknown)" if it cannot be found."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """Wall clock minus the monotonic clock and the clock since boot, in nanoseconds."""

    monotonic: int
    boot: int

    @classmethod
    def now(cls) -> "Clocks":
        """Of this moment."""
        wall = time.time_ns()
        return cls(wall - time.monotonic_ns(), wall - time.clock_gettime_ns(time.CLOCK_BOOTTIME))

    def or_later(self) -> "Clocks":
        """The same, unless a clock was set: so that a process has one time of its start."""
        now = Clocks.now()
        moved = max(abs(now.monotonic - self.monotonic), abs(now.boot - self.boot))
        return now if moved > _CLOCK_WAS_SET else self


class Users:
    """Names of users from /etc/passwd alone: a directory service could take long to answer."""

    def __init__(self, passwd: Path = Path("/etc/passwd")) -> None:
        self._passwd = passwd
        self._read: tuple[int, int] | None = None
        self._names: dict[int, str] = {}

    def name(self, uid: int) -> str | None:
        """The name; None if the file has none."""
        try:
            status = self._passwd.stat()
            if self._read != (status.st_mtime_ns, status.st_size):
                self._names = dict(self._entries(self._passwd.read_bytes()))
                self._read = status.st_mtime_ns, status.st_size
        except OSError:
            return None
        return self._names.get(uid)

    @staticmethod
    def _entries(raw: bytes) -> list[tuple[int, str]]:
        fields = [line.split(b":") for line in raw.splitlines()]
        # The first entry of a uid counts, as for getpwuid().
        return [
            (int(parts[2]), printable(parts[0]))
            for parts in reversed(fields)
            if len(parts) > 3 and parts[2].isdigit()
        ]


class Enricher:
    """Makes ``Who`` and ``What`` of the kernel's part; for one thread."""

    def __init__(self, unit: Unit, proc: Path = Path("/proc"), users: Users | None = None) -> None:
        self._unit = unit
        self._proc = proc
        self._users = users or Users()

    def process(self, event: KernelEvent, clocks: Clocks) -> Who:
        """The process that did it, with its program, command line and parents."""
        directory = self._living(event.process)
        program = printable(event.program)
        if directory and not program.startswith("/"):
            program = self._program(directory) or program
        return replace(
            self._who(event.process, clocks, program or None, self._command(event, directory)),
            terminal=printable(event.terminal) or None,
            parents=self._parents(event),
        )

    def other(self, who: EventProcess, clocks: Clocks) -> Who:
        """Another process that takes part."""
        directory = self._living(who)
        raw = self._command_line(directory) if directory else b""
        program = self._program(directory) if directory else None
        return self._who(who, clocks, program, _shown(raw, len(raw)))

    def _who(
        self,
        who: EventProcess,
        clocks: Clocks,
        program: str | None,
        command: tuple[str | None, bool],
    ) -> Who:
        unit, container = self._place(who)
        return Who(
            printable(who.comm),
            who.tgid,
            stamp(clocks.boot + who.start),
            who.uid,
            self._users.name(who.uid),
            unit,
            container,
            program,
            *command,
        )

    def _place(self, who: EventProcess) -> tuple[str | None, str | None]:
        """(unit, container): one of them at most."""
        unit = self._unit(who)
        if not unit or unit.startswith("("):
            return None, None
        return (None, unit) if _CONTAINER.fullmatch(unit) else (unit, None)

    def _living(self, who: EventProcess) -> Path | None:
        """Its directory in /proc; None if another process has the number now, or none."""
        directory = self._proc / str(who.tgid)
        try:
            fields = (directory / "stat").read_bytes().rpartition(b")")[2].split()
            is_it = abs(int(fields[19]) - who.start * _TICKS // 1_000_000_000) <= 1
        except (OSError, ValueError, IndexError):
            return None
        return directory if is_it else None

    def _program(self, directory: Path) -> str | None:
        try:
            return printable(os.fsencode((directory / "exe").readlink()))
        except OSError:  # gone, or without CAP_SYS_PTRACE that of another user
            return None

    @staticmethod
    def _command_line(directory: Path) -> bytes:
        try:
            with (directory / "cmdline").open("rb") as file:
                return file.read(COMMAND_CHARACTERS + 1)
        except OSError:
            return b""

    def _command(self, event: KernelEvent, directory: Path | None) -> tuple[str | None, bool]:
        """The kernel's command line is of the moment; /proc has one that is longer."""
        raw, length = event.command.rstrip(b"\0"), event.command_bytes
        if length > len(event.command) and directory:
            longer = self._command_line(directory)
            if longer.startswith(raw):
                raw = longer
        return _shown(raw, length)

    def _parents(self, event: KernelEvent) -> tuple[Parent, ...]:
        found = [Parent(pid, printable(name)) for pid, name in event.parents]
        while found and found[-1].pid != _INIT and len(found) < _MOST_PARENTS:
            parent = self._parent_of(found[-1].pid)
            if parent is None:
                break
            found.append(parent)
        return tuple(found)

    def _parent_of(self, pid: int) -> Parent | None:
        try:
            fields = (self._proc / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
            parent = int(fields[1])
            raw = (self._proc / str(parent) / "comm").read_bytes() if parent else b""
        except (OSError, ValueError, IndexError):
            return None
        return Parent(parent, printable(raw.removesuffix(b"\n"))) if parent else None


def _shown(raw: bytes, length: int) -> tuple[str | None, bool]:
    """(arguments joined by blanks, whether that is not all)."""
    text = printable(raw.rstrip(b"\0").replace(b"\0", b" "))
    is_cut = length > len(raw) + 1 or len(text) > COMMAND_CHARACTERS
    return text[:COMMAND_CHARACTERS] or None, bool(text) and is_cut


def what(file: EventFile) -> What:
    """What a descriptor refers to."""
    sock = file.socket
    state = tcp_state(sock.state) if sock else ""
    return What(
        file.fd,
        file.fd_type.label,
        file.birth.label,
        printable(file.name),
        file.inode,
        _device(file.device),
        _device(file.rdev) if file.rdev else None,
        file.writable,
        file.protocol if file.family else None,
        file.scope.label if file.family else None,
        _endpoint(str(sock.local), sock.local_port) if sock else None,
        _endpoint(str(sock.remote), sock.remote_port) if sock else None,
        state if state and file.protocol == _TCP else None,
    )


def _device(number: int) -> str:
    return f"{number >> 20}:{number & 0xFFFFF}"


def _endpoint(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
