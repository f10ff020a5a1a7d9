# SPDX-License-Identifier: GPL-2.0-only
"""The code of a process: what is mapped where, from which files, with names for its functions.

Files are opened by what the process has mapped (/proc/PID/map_files), so they are those of its own
root and mount namespace, also if they were deleted or replaced since.
"""

import os
import re
import stat
import time
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from fdscope.exporter.leaks import demangle
from fdscope.exporter.leaks.elf import Elf, ElfError
from fdscope.exporter.leaks.go import GoTable
from fdscope.exporter.leaks.unwind import FrameTable, Rules
from fdscope.probes.text import printable

_MOST_MAPPINGS = 100_000
_MOST_MAPS_BYTES = 32 << 20
_MOST_PERF_MAP = 64 << 20
_MOST_PERF_LINES = 1_000_000
_PERF_MAP_SECONDS = 3.0
JIT = "[jit]"
"""The module of code that was made at run time."""
_JIT_KIND = re.compile(r"^(JS:|LazyCompile:|Function:)[~^*+]")
"""How V8 has compiled a function: it is the same function."""
_DEBUG = Path("/usr/lib/debug/.build-id")


@dataclass(frozen=True, slots=True)
class Mapping:
    """A part of the memory of a process that can be executed."""

    start: int
    end: int
    offset: int
    inode: tuple[str, int]
    """Device and number; the number is 0 for memory without a file."""
    name: str
    """Printable; empty for memory without a file."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A function on a stack, as far as it is known."""

    module: str
    """The name of its file, without directories; [jit] for code that was made at run time."""
    offset: int
    """In the file, or in the function if only that is known."""
    function: str = ""
    inside: int = 0
    """How far behind the start of the function."""
    source: str = ""
    """File and line."""
    path: str = ""
    """Of the module."""
    address: int = 0
    """In the file, before it was moved: for programs that read its debug information."""


@dataclass(slots=True)
class _Module:
    """An open file of code."""

    fd: int
    elf: Elf | None
    table: FrameTable | None
    go: GoTable | None = None


class PerfMap:
    """Functions of code that a program has made at run time, as it has written them down.

    In /tmp/perf-PID.map of its own root: Node, Java and Python write it if they are asked to.
    """

    def __init__(self, starts: list[int], rows: list[tuple[int, str]], why_not: str = "") -> None:
        """``rows``: size and name of each function; ``why_not``: why there are none."""
        self._starts, self._rows = starts, rows
        self.why_not = why_not

    def at(self, address: int) -> str | None:
        """The function at an address."""
        place = bisect_right(self._starts, address) - 1
        if place < 0 or address >= self._starts[place] + self._rows[place][0]:
            return None
        return self._rows[place][1]

    @classmethod
    def of_text(cls, text: bytes) -> "PerfMap":
        """From lines with start, size (both hexadecimal) and name; others do not count.

        Code is moved and its memory used again: the later line of a start is the right one.
        """
        found: dict[int, tuple[int, str]] = {}
        for line in text.split(b"\n")[:_MOST_PERF_LINES]:
            parts = line.split(b" ", 2)
            if len(parts) == 3:
                with suppress(ValueError):
                    start = int(parts[0], 16)
                    found.pop(start, None)
                    found[start] = int(parts[1], 16), printable(parts[2][:512])
        starts = sorted(found)
        return cls(starts, [found[start] for start in starts])

    @classmethod
    def of_process(cls, proc: int, user: int) -> "PerfMap":
        """Of the process whose /proc/PID is behind a descriptor, which runs as a user."""
        try:
            number = _inner_pid(proc)
            fd = _open_beneath(proc, ("root", "tmp", f"perf-{number}.map"))
        except FileNotFoundError:
            return cls([], [], f"there is no /tmp/perf-{number}.map")
        except OSError as error:
            return cls([], [], f"its perf map cannot be read: {error.strerror}")
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return cls([], [], f"its perf-{number}.map is no regular file")
            if status.st_uid != user:
                return cls([], [], f"its perf-{number}.map belongs to another user")
            return cls.of_text(_read(fd, _MOST_PERF_MAP))
        except OSError as error:
            return cls([], [], f"its perf map cannot be read: {error.strerror}")
        finally:
            os.close(fd)


def _read(fd: int, most: int) -> bytes:
    parts, left = [], most
    while left:
        part = os.read(fd, min(left, 1 << 20))
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _open_beneath(directory: int, path: Sequence[str]) -> int:
    """Open a file for reading, step by step, without following a link of the process."""
    # The first step is the kernel's own link.
    at = os.open(path[0], os.O_PATH | os.O_DIRECTORY, dir_fd=directory)
    try:
        for part in path[1:-1]:
            inner = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = inner
        return os.open(path[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
    finally:
        os.close(at)


def _proc_text(proc: int, name: str, most: int = 1 << 16) -> bytes:
    fd = os.open(name, os.O_RDONLY, dir_fd=proc)
    try:
        return _read(fd, most)
    finally:
        os.close(fd)


def _status(proc: int, field_name: bytes) -> list[bytes]:
    for line in _proc_text(proc, "status").splitlines():
        name, _, rest = line.partition(b":")
        if name == field_name:
            return rest.split()
    return []


def _inner_pid(proc: int) -> int:
    """The number that the process has in its own namespace."""
    return int(_status(proc, b"NSpid")[-1])


@dataclass(slots=True)
class Image:
    """The code of one process; ``close()`` when done. OSError if there is no such process."""

    pid: int
    proc: int = field(init=False)
    user: int = field(init=False)
    """Its effective user."""
    _mappings: list[Mapping] = field(init=False, default_factory=list)
    _starts: list[int] = field(init=False, default_factory=list)
    _modules: dict[tuple[str, int], _Module | None] = field(init=False, default_factory=dict)
    _perf_map: PerfMap | None = field(init=False, default=None)
    _perf_map_read: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.proc = os.open(f"/proc/{self.pid}", os.O_PATH | os.O_DIRECTORY)
        try:
            self.user = int(_status(self.proc, b"Uid")[1])
            self.refresh()
        except (OSError, IndexError, ValueError):
            os.close(self.proc)
            raise

    def close(self) -> None:
        """Close its files."""
        for module in self._modules.values():
            if module:
                os.close(module.fd)
        self._modules.clear()
        os.close(self.proc)

    def refresh(self) -> bool:
        """Read what is mapped now; False, and what was known stays, if the process has ended."""
        try:
            text = _proc_text(self.proc, "maps", _MOST_MAPS_BYTES)
        except OSError:
            return False
        found = list(_mappings(text))
        if not found:
            return False
        self._mappings = found
        self._starts = [each.start for each in found]
        return True

    def mapping(self, address: int) -> Mapping | None:
        """The executable memory that an address lies in."""
        place = bisect_right(self._starts, address) - 1
        if place < 0 or address >= self._mappings[place].end:
            return None
        return self._mappings[place]

    def is_code(self, address: int) -> bool:
        """True for an address in executable memory."""
        return self.mapping(address) is not None

    def rules(self, address: int) -> Rules | None:
        """How the caller of the function at an address is found; None if its file has none."""
        mapping = self.mapping(address)
        module = mapping and self._module(mapping)
        if not mapping or not module or not module.elf or not module.table:
            return None
        place = module.elf.address_of(address - mapping.start + mapping.offset)
        return None if place is None else module.table.rules(place)

    def has_section(self, name: bytes) -> bool:
        """True if the program itself has a section of this name."""
        program = self.program()
        return program is not None and program[1].section(name) is not None

    def program(self) -> tuple[int, Elf] | None:
        """The program of the process, and how far it was moved."""
        for mapping, elf in self.files():
            with suppress(OSError):
                own = os.stat("exe", dir_fd=self.proc)
                if own.st_ino == mapping.inode[1]:
                    return self._moved(mapping, elf), elf
        return None

    def files(self) -> list[tuple[Mapping, Elf]]:
        """The first executable part of each file."""
        found = {}
        for mapping in self._mappings:
            if mapping.inode[1] and mapping.inode not in found:
                module = self._module(mapping)
                if module and module.elf:
                    found[mapping.inode] = mapping, module.elf
        return list(found.values())

    def _moved(self, mapping: Mapping, elf: Elf) -> int:
        return mapping.start - (elf.address_of(mapping.offset) or 0)

    def address_of(self, name: bytes, among: re.Pattern[str]) -> int | None:
        """Where an object is that a file exports whose name begins like this."""
        for mapping, elf in self.files():
            if not among.match(mapping.name.rpartition("/")[2]):
                continue
            with suppress(ElfError):
                place = elf.symbol(name)
                if place is not None:
                    return self._moved(mapping, elf) + place
        return None

    def _module(self, mapping: Mapping) -> _Module | None:
        if not mapping.inode[1]:
            return None
        if mapping.inode not in self._modules:
            self._modules[mapping.inode] = self._opened(mapping)
        return self._modules[mapping.inode]

    def _opened(self, mapping: Mapping) -> _Module | None:
        name = f"map_files/{mapping.start:x}-{mapping.end:x}"
        try:
            # Opening a device can do something: look first.
            if not stat.S_ISREG(os.stat(name, dir_fd=self.proc).st_mode):
                return None
            fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK, dir_fd=self.proc)
        except OSError:
            return None
        try:
            elf = Elf(fd)
        except ElfError:
            return _Module(fd, None, None)
        try:
            table = FrameTable(elf)
        except ElfError:
            table = None
        try:
            go = GoTable(elf)
        except ElfError:
            go = None
        return _Module(fd, elf, table, go)

    @property
    def perf_map(self) -> PerfMap:
        """Functions that were made at run time, as they were known some seconds ago at most."""
        if self._perf_map is None or time.monotonic() - self._perf_map_read > _PERF_MAP_SECONDS:
            self._perf_map = PerfMap.of_process(self.proc, self.user)
            self._perf_map_read = time.monotonic()
        return self._perf_map

    def frame(self, address: int) -> Frame:
        """The function at an address."""
        mapping = self.mapping(address)
        if mapping is None:
            return Frame("[unknown]", address)
        module = self._module(mapping)
        if module is None or module.elf is None:
            return self._made_at_run_time(mapping, address)
        name = mapping.name.rpartition("/")[2]
        offset = address - mapping.start + mapping.offset
        place = module.elf.address_of(offset)
        if place is None:
            return Frame(name, offset, path=mapping.name)
        of_go = module.go.at(place) if module.go else None
        if of_go:
            function, start, source = of_go
            return Frame(name, place, function, place - start, source, mapping.name)
        found = _function(module.elf, place)
        if found is None:
            return Frame(name, place, path=mapping.name, address=place)
        function, inside = found
        return Frame(name, place, function, inside, path=mapping.name, address=place)

    def _made_at_run_time(self, mapping: Mapping, address: int) -> Frame:
        found = self.perf_map.at(address)
        if found is None:
            return Frame(mapping.name if mapping.name.startswith("[") else JIT, address)
        # Without the place: the same function is made again elsewhere.
        return Frame(JIT, 0, _JIT_KIND.sub(r"\1", found))

    def fd_of(self, frame: Frame) -> int | None:
        """The open file that the frame's function is in."""
        for mapping in self._mappings:
            if mapping.name == frame.path and mapping.inode in self._modules:
                module = self._modules[mapping.inode]
                return module.fd if module else None
        return None


def _mappings(text: bytes) -> "Sequence[Mapping]":
    found = []
    for line in text.splitlines()[:_MOST_MAPPINGS]:
        parts = line.split(maxsplit=5)
        if len(parts) < 5 or b"x" not in parts[1]:
            continue
        start, _, end = parts[0].partition(b"-")
        name = printable(parts[5]) if len(parts) > 5 else ""
        where = parts[3].decode(), int(parts[4])
        found.append(Mapping(int(start, 16), int(end, 16), int(parts[2], 16), where, name))
    return found


def _function(elf: Elf, place: int) -> tuple[str, int] | None:
    """The name of a function, and how far inside of it a place is."""
    with suppress(ElfError):
        functions = elf.functions
        found = functions.at(place) if functions else None
        found = found or _in_debug_file(elf, place)
        if found:
            return demangle.readable(found[0]), place - found[1]
    return None


_debug_files: dict[str, Elf | None] = {}


def _in_debug_file(elf: Elf, place: int) -> tuple[bytes, int] | None:
    """Of a stripped file, by the file that its distribution has put aside for it."""
    build_id = elf.build_id
    if len(build_id) < 4:
        return None
    if build_id not in _debug_files:
        _debug_files[build_id] = None
        with suppress(OSError, ElfError):
            path = _DEBUG / build_id[:2] / f"{build_id[2:]}.debug"
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            try:
                _debug_files[build_id] = Elf(fd)
            except ElfError:
                os.close(fd)
    debug = _debug_files[build_id]
    functions = debug.functions if debug else None
    return functions.at(place) if functions else None
