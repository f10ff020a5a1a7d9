# SPDX-License-Identifier: GPL-2.0-only
"""Frames of the Python interpreter (CPython 3.11 to 3.13), read from the memory of a process."""

import os
import re
from contextlib import suppress
from dataclasses import dataclass

from fdscope.exporter.leaks.image import Image
from fdscope.probes.schema.files import Python
from fdscope.probes.text import printable

_LIBRARY = re.compile(r"(lib)?python\d")
_MOST_TEXT = 4096
_MOST_TABLE = 1 << 20


@dataclass(frozen=True, slots=True)
class Layout:
    """Offsets in CPython's structs on computers of 64 bits, in builds without Py_DEBUG."""

    interpreters: int
    """_PyRuntimeState.interpreters.head"""
    threads: int
    """PyInterpreterState.threads.head"""
    number: int
    """PyThreadState.native_thread_id"""
    frame: int
    """PyThreadState.cframe, or .current_frame"""
    inner: int | None
    """_PyCFrame.current_frame"""
    previous: int
    code: int
    instruction: int
    """_PyInterpreterFrame: previous, f_code or f_executable, prev_instr or instr_ptr"""
    first_line: int
    instructions: int
    """PyCodeObject: co_firstlineno, co_code_adaptive"""
    ascii_size: int
    """sizeof(PyASCIIObject)"""
    compact_size: int
    next: int = 8
    file: int = 112
    name: int = 128
    lines: int = 136
    """PyThreadState.next; PyCodeObject: co_filename, co_qualname, co_linetable"""


LAYOUTS = {
    (3, 11): Layout(40, 16, 160, 56, 8, 48, 32, 56, 72, 184, 48, 72),
    (3, 12): Layout(40, 72, 144, 56, 0, 8, 0, 56, 68, 192, 40, 56),
    (3, 13): Layout(632, 7344, 160, 72, None, 8, 0, 56, 68, 200, 40, 56),
}


@dataclass(frozen=True, slots=True)
class PythonFrame:
    """A frame of Python."""

    function: str
    file: str
    line: int


class PythonReader:
    """Reads the code objects of one process; ``close()`` when done."""

    def __init__(self, image: Image, runtime: int, version: tuple[int, int], code: int) -> None:
        """``runtime`` and ``code``: addresses of _PyRuntime and PyCode_Type."""
        self._layout = LAYOUTS[version]
        self.version = version
        self._code = code
        self._memory = os.open("mem", os.O_RDONLY, dir_fd=image.proc)
        self._known: dict[tuple[int, int], PythonFrame | None] = {}
        self._image = image
        self._runtime = runtime

    def close(self) -> None:
        """Close the memory of the process."""
        os.close(self._memory)

    def interpreter(self) -> Python:
        """What the kernel side needs to find its frames; OSError if it is not running yet."""
        of = self._layout
        namespace = os.stat("ns/pid", dir_fd=self._image.proc)
        device = os.major(namespace.st_dev) << 20 | os.minor(namespace.st_dev)
        head = self._word(self._runtime + of.interpreters)
        return Python(
            head + of.threads, device, namespace.st_ino,
            of.next, of.number, of.frame, of.inner, of.previous, of.code, of.instruction,
        )  # fmt: skip

    def frame(self, code: int, instruction: int) -> PythonFrame | None:
        """The function and line of a frame; None for what is not one of Python code."""
        key = code, instruction
        if key not in self._known:
            self._known[key] = None
            with suppress(OSError, ValueError, OverflowError, IndexError):
                self._known[key] = self._frame(code, instruction)
        return self._known[key]

    def _frame(self, code: int, instruction: int) -> PythonFrame | None:
        of = self._layout
        if self._word(code + 8) != self._code:
            return None
        first = int.from_bytes(self._read(code + of.first_line, 4), "little", signed=True)
        table = self._word(code + of.lines)
        size = self._word(table + 16)
        lines = self._read(table + 32, min(size, _MOST_TABLE))
        unit = (instruction - code - of.instructions) // 2
        return PythonFrame(
            self._text(self._word(code + of.name)),
            self._text(self._word(code + of.file)),
            line_of(lines, first, unit),
        )

    def _read(self, address: int, size: int) -> bytes:
        data = os.pread(self._memory, size, address)
        if len(data) < size:
            raise OSError("it is not there any more")
        return data

    def _word(self, address: int) -> int:
        return int.from_bytes(self._read(address, 8), "little")

    def _text(self, address: int) -> str:
        """A str object, printable."""
        length = min(self._word(address + 16), _MOST_TEXT)
        state = int.from_bytes(self._read(address + 32, 4), "little")
        width, is_compact, is_ascii = state >> 2 & 7, state >> 5 & 1, state >> 6 & 1
        if width not in (1, 2, 4) or not is_compact:
            raise ValueError("no text")
        start = self._layout.ascii_size if is_ascii else self._layout.compact_size
        data = self._read(address + start, length * width)
        encoding = {1: "latin-1", 2: "utf-16-le", 4: "utf-32-le"}[width]
        return printable(data.decode(encoding, "replace").encode(errors="replace"))


def line_of(table: bytes, first: int, unit: int) -> int:
    """The line of an instruction: CPython's Objects/locations.md. ``unit``: its place in words."""
    at, place, line = 0, 0, first
    while at < len(table):
        head = table[at]
        at += 1
        kind, length = head >> 3 & 15, (head & 7) + 1
        if kind == 14:
            number, at = _variable(table, at)
            line += -(number >> 1) if number & 1 else number >> 1
            for _ in range(3):
                _, at = _variable(table, at)
        elif kind == 13:
            number, at = _variable(table, at)
            line += -(number >> 1) if number & 1 else number >> 1
        elif 10 <= kind <= 12:
            line += kind - 10
            at += 2
        elif kind < 10:
            at += 1
        place += length
        if unit < place:
            return line
    return line


def _variable(table: bytes, at: int) -> tuple[int, int]:
    """A number of parts of six bits, the lowest first; and where it ends."""
    value = shift = 0
    while True:
        byte = table[at]
        at += 1
        value |= (byte & 63) << shift
        shift += 6
        if not byte & 64:
            return value, at


def reader_of(image: Image) -> tuple[PythonReader | None, str]:
    """A reader if the process runs Python, else None; and why its frames cannot be read, if so."""
    runtime = image.address_of(b"_PyRuntime", _LIBRARY)
    if runtime is None:
        return None, ""
    version_at = image.address_of(b"Py_Version", _LIBRARY)
    code = image.address_of(b"PyCode_Type", _LIBRARY)
    if version_at is None or code is None:
        return None, "frames of Python before 3.11 are not read"
    try:
        memory = os.open("mem", os.O_RDONLY, dir_fd=image.proc)
        try:
            number = int.from_bytes(os.pread(memory, 8, version_at), "little")
        finally:
            os.close(memory)
        version = number >> 24 & 0xFF, number >> 16 & 0xFF
        if version not in LAYOUTS:
            return None, f"frames of Python {version[0]}.{version[1]} are not known to fdscope"
        return PythonReader(image, runtime, version, code), ""
    except OSError as error:
        return None, f"the memory of the process cannot be read: {error.strerror}"
