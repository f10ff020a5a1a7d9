# SPDX-License-Identifier: GPL-2.0-only
"""ELF files: segments, symbols and unwind information of a program or library of 64 bits."""

import os
import stat
import struct
from dataclasses import dataclass
from functools import cached_property

import numpy as np

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = np.dtype(
    [
        ("name", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2"), ("value", "<u8"),
        ("size", "<u8"),
    ]
)  # fmt: skip
_LOAD, _NOTE, _EH_FRAME = 1, 4, 0x6474E550
_SYMTAB, _DYNSYM = 2, 11
_FUNCTION, _IFUNC = 2, 10
_BUILD_ID = 3
_MOST_SEGMENTS, _MOST_SECTIONS = 128, 1024
_MOST_BYTES = 256 << 20
"""Largest table that is read: the symbols of a browser have a tenth of it."""
_MOST_NAME = 4096


class ElfError(Exception):
    """Not a file that can be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the file that is mapped."""

    offset: int
    address: int
    size: int


@dataclass(frozen=True, slots=True)
class Section:
    """A section, by its name."""

    kind: int
    address: int
    offset: int
    size: int
    link: int


@dataclass(frozen=True, slots=True)
class Functions:
    """Functions, sorted by address."""

    starts: "np.ndarray[tuple[int], np.dtype[np.uint64]]"
    ends: "np.ndarray[tuple[int], np.dtype[np.uint64]]"
    names: "np.ndarray[tuple[int], np.dtype[np.uint32]]"
    """Places in the table of names."""
    text: bytes

    def at(self, address: int) -> tuple[bytes, int] | None:
        """The function at an address, and its start; None between functions."""
        place = int(np.searchsorted(self.starts, np.uint64(address), side="right")) - 1
        if place < 0 or not self.starts[place] <= address < self.ends[place]:
            return None
        name = self.text[int(self.names[place]) :][:_MOST_NAME].partition(b"\0")[0]
        return name, int(self.starts[place])


class Elf:
    """An open ELF file; the descriptor stays the caller's."""

    def __init__(self, fd: int) -> None:
        """ElfError if it is no regular file, or none of the kind."""
        self._fd = fd
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise ElfError("no regular file")
        self._size = status.st_size
        head = self.read(0, _HEADER.size)
        ident, *_, segments, sections, _, _, p_size, p_count, s_size, s_count, s_names = (
            _HEADER.unpack(head)
        )
        if ident[:6] != b"\x7fELF\x02\x01":
            raise ElfError("no ELF file of 64 bits")
        self.segments: list[Segment] = []
        self._eh_frame: tuple[int, int] | None = None
        """Address and size of the search table of the unwind information."""
        self._notes: list[tuple[int, int]] = []
        if p_count and p_size == _SEGMENT.size and p_count <= _MOST_SEGMENTS:
            self._read_segments(self.read(segments, p_count * p_size))
        self._sections: dict[bytes, Section] = {}
        self._by_number: list[Section] = []
        if s_count and s_size == _SECTION.size and s_count <= _MOST_SECTIONS:
            self._read_sections(self.read(sections, s_count * s_size), s_names)

    def read(self, offset: int, size: int) -> bytes:
        """Bytes of the file; ElfError if they are not all there."""
        if size > _MOST_BYTES or offset + size > self._size:
            raise ElfError("a part lies outside of the file, or is too large")
        try:
            parts, left = [], size
            while left:
                part = os.pread(self._fd, left, offset)
                if not part:
                    raise ElfError("the file has become shorter")
                parts.append(part)
                offset, left = offset + len(part), left - len(part)
        except (OSError, OverflowError) as error:
            raise ElfError(str(error)) from error
        return b"".join(parts)

    def _read_segments(self, table: bytes) -> None:
        for kind, _, offset, address, _, size, _, _ in _SEGMENT.iter_unpack(table):
            if kind == _LOAD:
                self.segments.append(Segment(offset, address, size))
            elif kind == _EH_FRAME:
                self._eh_frame = address, size
            elif kind == _NOTE:
                self._notes.append((offset, size))

    def _read_sections(self, table: bytes, names_at: int) -> None:
        rows = list(_SECTION.iter_unpack(table))
        self._by_number = [
            Section(kind, address, offset, size, link)
            for _, kind, _, address, offset, size, link, _, _, _ in rows
        ]
        if names_at >= len(rows):
            return
        of_names = self._by_number[names_at]
        names = self.read(of_names.offset, min(of_names.size, 1 << 20))
        for (name, *_), section in zip(rows, self._by_number, strict=True):
            self._sections.setdefault(names[name:][:64].partition(b"\0")[0], section)

    def section(self, name: bytes) -> Section | None:
        """The section of this name."""
        return self._sections.get(name)

    def address_of(self, offset: int) -> int | None:
        """The address, before it was moved, of a place in the file; None if it is not mapped."""
        for segment in self.segments:
            if segment.offset <= offset < segment.offset + segment.size:
                return offset - segment.offset + segment.address
        return None

    def at(self, address: int, size: int) -> bytes:
        """What is mapped at an address; ElfError if it is not in the file."""
        for segment in self.segments:
            if segment.address <= address and address + size <= segment.address + segment.size:
                return self.read(address - segment.address + segment.offset, size)
        raise ElfError("an address outside of the file")

    def rest_at(self, address: int, most: int) -> bytes:
        """As ``at``, of what follows there, up to ``most`` bytes."""
        for segment in self.segments:
            if segment.address <= address < segment.address + segment.size:
                inside = address - segment.address
                return self.read(segment.offset + inside, min(most, segment.size - inside))
        raise ElfError("an address outside of the file")

    @cached_property
    def unwind_table(self) -> tuple[int, bytes] | None:
        """Address and contents of .eh_frame_hdr; None if there is none."""
        if self._eh_frame is None:
            return None
        address, size = self._eh_frame
        return address, self.at(address, size)

    @cached_property
    def build_id(self) -> str:
        """In hexadecimal digits; empty if there is none."""
        for offset, size in self._notes:
            notes, at = self.read(offset, min(size, 1 << 16)), 0
            while at + 12 <= len(notes):
                name_size, size_of, kind = struct.unpack_from("<III", notes, at)
                start = at + 12 + (name_size + 3 & ~3)
                if kind == _BUILD_ID and notes[at + 12 : at + 16] == b"GNU\0":
                    return notes[start : start + min(size_of, 64)].hex()
                at = start + (size_of + 3 & ~3)
        return ""

    @cached_property
    def functions(self) -> Functions | None:
        """Of the full table of symbols, or of that for dynamic linking; None without any."""
        for kind in (_SYMTAB, _DYNSYM):
            for section in self._by_number:
                if section.kind == kind and section.link < len(self._by_number):
                    return self._functions(section, self._by_number[section.link])
        return None

    def _functions(self, table: Section, names: Section) -> Functions:
        whole = table.size - table.size % _SYMBOL.itemsize
        symbols = np.frombuffer(self.read(table.offset, whole), _SYMBOL)
        kinds = symbols["info"] & 15
        symbols = symbols[((kinds == _FUNCTION) | (kinds == _IFUNC)) & (symbols["section"] != 0)]
        symbols = symbols[np.argsort(symbols["value"], kind="stable")]
        starts = symbols["value"].astype(np.uint64)
        # Of code in assembler, which has no sizes: up to the next one.
        following = np.append(starts[1:], starts[-1:] + np.uint64(4096))
        sizes = symbols["size"].astype(np.uint64)
        ends = np.where(sizes == 0, following, starts + sizes)
        return Functions(starts, ends, symbols["name"], self.read(names.offset, names.size))

    def symbol(self, name: bytes) -> int | None:
        """The address of an object or function that others can link to."""
        for section in self._by_number:
            if section.kind not in (_DYNSYM, _SYMTAB) or section.link >= len(self._by_number):
                continue
            whole = section.size - section.size % _SYMBOL.itemsize
            symbols = np.frombuffer(self.read(section.offset, whole), _SYMBOL)
            of_names = self._by_number[section.link]
            text = b"\0" + self.read(of_names.offset, of_names.size)
            place = text.find(b"\0" + name + b"\0")
            if place < 0:
                continue
            found = symbols[(symbols["name"] == place) & (symbols["section"] != 0)]
            if len(found):
                return int(found[0]["value"])
        return None
