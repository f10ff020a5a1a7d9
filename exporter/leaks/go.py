# SPDX-License-Identifier: GPL-2.0-only
"""Functions, files and lines of Go programs, by the table that each has for its own stack traces.

Go's src/debug/gosym/pclntab.go and src/cmd/link/internal/ld/pcln.go: the table since Go 1.18. It is
there in stripped programs too.
"""

import struct
from bisect import bisect_right
from functools import cached_property

import numpy as np

from fdscope.exporter.leaks.elf import Elf, ElfError
from fdscope.probes.text import printable

SECTION = b".gopclntab"
_MAGICS = (0xFFFFFFF0, 0xFFFFFFF1)
"""Of Go 1.18 and 1.20."""
_HEADER = struct.Struct("<IBBBB8Q")
_MOST_STEPS = 100_000


class GoTable:
    """The table of one program."""

    def __init__(self, elf: Elf) -> None:
        """ElfError if there is none, or it is of another version."""
        section = elf.section(SECTION)
        if section is None:
            raise ElfError("no program of Go")
        self._data = elf.read(section.offset, section.size)
        try:
            (
                magic,
                _,
                _,
                self._quantum,
                word,
                count,
                _,
                start,
                names,
                units,
                files,
                pcs,
                functions,
            ) = _HEADER.unpack_from(self._data)
        except struct.error as error:
            raise ElfError("a table of Go that is cut") from error
        if magic not in _MAGICS or word != 8 or not self._quantum:
            raise ElfError("a table of another version of Go")
        # Since Go 1.26 the linker leaves the start out: it is that of the code.
        text = elf.section(b".text")
        self._start = start or (text.address if text else 0)
        self._names, self._units, self._files = names, units, files
        self._pcs, self._functions = pcs, functions
        most = (len(self._data) - functions) // 8
        if not 0 < count <= most:
            raise ElfError("an odd table of Go")
        self._count = count

    @cached_property
    def _places(self) -> list[int]:
        """Starts of the functions, from the start of the code."""
        table = np.frombuffer(self._data, "<u4", 2 * self._count, self._functions)
        places: list[int] = table[0::2].tolist()
        return places

    def at(self, address: int) -> tuple[str, int, str] | None:
        """Name of the function at an address, its start, and file and line; None if unknown."""
        try:
            return self._at(address - self._start)
        except (IndexError, ValueError, struct.error):
            return None

    def _at(self, place: int) -> tuple[str, int, str] | None:
        number = bisect_right(self._places, place) - 1
        if number < 0:
            return None
        entry, at = struct.unpack_from("<II", self._data, self._functions + 8 * number)
        at += self._functions
        _, name, _, _, _, files, lines, _, unit = struct.unpack_from("<IiIIIIIII", self._data, at)
        line = self._value(lines, place - entry)
        file = self._value(files, place - entry)
        source = ""
        if line > 0 and file >= 0:
            (offset,) = struct.unpack_from("<I", self._data, self._units + 4 * (unit + file))
            source = f"{self._text(self._files + offset)}:{line}"
        return self._text(self._names + name), entry + self._start, source

    def _text(self, at: int) -> str:
        return printable(self._data[at : self._data.index(0, at)][:4096])

    def _value(self, table: int, wanted: int) -> int:
        """The value at a place in a function, of a table of differences."""
        at, place, value = self._pcs + table, 0, -1
        for step in range(_MOST_STEPS):
            change, at = self._variable(at)
            if not change and step:
                return -1
            value += -(change >> 1) - 1 if change & 1 else change >> 1
            length, at = self._variable(at)
            place += length * self._quantum
            if wanted < place:
                return value
        return -1

    def _variable(self, at: int) -> tuple[int, int]:
        value = shift = 0
        while shift < 35:
            byte = self._data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                break
            shift += 7
        return value, at
