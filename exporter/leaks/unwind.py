# SPDX-License-Identifier: GPL-2.0-only
"""Follows a stack outward: by the unwind information of the files, else by frame pointers.

DWARF 5, section 6.4 (call frame information), as .eh_frame has it: Linux Standard Base, 10.6.
"""

import platform
import struct
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from fdscope.exporter.leaks.elf import Elf, ElfError
from fdscope.probes.schema.files import Registers

MOST_FRAMES = 128
_MOST_ENTRY = 1 << 16
"""Longest entry of .eh_frame that is read."""
_MOST_UNSORTED = 16 << 20
"""Most of .eh_frame that is read where there is no table to search it."""
_MOST_STEPS = 4096
"""Of a program for one function."""

_WORD = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Machine:
    """Numbers of registers in DWARF."""

    frame: int
    stack: int
    returns: int
    saved: tuple[int, ...]
    """Further registers whose values are known at the start."""


_X86 = Machine(6, 7, 16, (3, 12, 13, 14, 15))
_ARM = Machine(29, 31, 30, ())


def machine() -> Machine:
    """Of this computer."""
    return _ARM if platform.machine() == "aarch64" else _X86


class _Reader:
    """Reads numbers one after the other; IndexError at the end."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def byte(self) -> int:
        value = self.data[self.at]
        self.at += 1
        return value

    def number(self, size: int, signed: bool = False) -> int:
        if self.at + size > len(self.data):
            raise IndexError
        value = int.from_bytes(self.data[self.at : self.at + size], "little", signed=signed)
        self.at += size
        return value

    def unsigned(self) -> int:
        value = shift = 0
        while shift < 70:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        return value

    def signed(self) -> int:
        start = self.at
        value = self.unsigned()
        bits = 7 * (self.at - start)
        return value - (1 << bits) if value >> (bits - 1) & 1 else value

    def text(self) -> bytes:
        end = self.data.index(0, self.at)
        found = self.data[self.at : end]
        self.at = end + 1
        return found

    def block(self) -> bytes:
        size = self.unsigned()
        found = self.data[self.at : self.at + size]
        self.at += size
        return found

    def encoded(self, encoding: int, address: int) -> int:
        """A pointer; ``address``: of the first byte of the data. ValueError for odd encodings."""
        base = {0x00: 0, 0x10: address + self.at}.get(encoding & 0x70)
        size = {0: (8, False), 2: (2, False), 3: (4, False), 4: (8, False), 0xA: (2, True),
                0xB: (4, True), 0xC: (8, True)}.get(encoding & 0x0F)  # fmt: skip
        if base is None or size is None:
            raise ValueError("an encoding that is not used for code")
        return (base + self.number(*size)) & 0xFFFF_FFFF_FFFF_FFFF


@dataclass(slots=True)
class _Common:
    """A common information entry."""

    code_align: int
    data_align: int
    returns: int
    encoding: int
    has_length: bool
    instructions: bytes


@dataclass(slots=True)
class Rules:
    """How the registers of the caller are found, at one address."""

    cfa: tuple[int, int] | bytes = (0, 0)
    """A register and an offset, or an expression."""
    offsets: dict[int, int] = field(default_factory=dict)
    """Register to the place where it was saved, from the canonical frame address."""
    undefined: set[int] = field(default_factory=set)

    def copy(self) -> "Rules":
        """Another one that is the same."""
        return Rules(self.cfa, dict(self.offsets), set(self.undefined))


class FrameTable:
    """The unwind information of a file."""

    def __init__(self, elf: Elf) -> None:
        """ElfError if the file has none that can be searched."""
        self._elf = elf
        self._rules: dict[int, Rules | None] = {}
        self._commons: dict[int, _Common] = {}
        self._starts: list[int] = []
        """Of functions, sorted: of a file without a search table."""
        self._entries: list[int] = []
        self._address, self._data = 0, b""
        self._start = self._count = 0
        table = elf.unwind_table
        if table is None:
            self._read_all()
        else:
            self._read_table(*table)

    def _read_all(self) -> None:
        """Make a table of all entries: programs that are linked statically have none."""
        section = self._elf.section(b".eh_frame")
        if section is None:
            raise ElfError("no unwind information")
        data = self._elf.read(section.offset, min(section.size, _MOST_UNSORTED))
        at, found = 0, []
        while at + 8 <= len(data):
            length, common = struct.unpack_from("<II", data, at)
            if not 4 <= length <= _MOST_ENTRY:
                break
            if common:
                address = section.address + at
                with suppress(ElfError, IndexError, ValueError):
                    of = self._common(address + 4 - common)
                    reader = _Reader(data, at + 8)
                    found.append((reader.encoded(of.encoding, section.address), address))
            at += 4 + length
        found.sort()
        self._starts = [start for start, _ in found]
        self._entries = [entry for _, entry in found]

    def _read_table(self, address: int, data: bytes) -> None:
        self._address, self._data = address, data
        if len(self._data) < 12 or self._data[0] != 1 or self._data[2:4] != b"\x03\x3b":
            raise ElfError("unwind information that cannot be searched")
        reader = _Reader(self._data, 4)
        try:
            reader.encoded(self._data[1], self._address)
        except (IndexError, ValueError) as error:
            raise ElfError("odd unwind information") from error
        count = reader.number(4)
        self._start = reader.at
        self._count = min(count, (len(self._data) - self._start) // 8)

    def rules(self, address: int) -> Rules | None:
        """Of an address, before the file was moved; None if no function is known there."""
        if address not in self._rules:
            if len(self._rules) > 100_000:
                self._rules.clear()
            try:
                self._rules[address] = self._find(address)
            except (ElfError, IndexError, ValueError, struct.error):
                self._rules[address] = None
        return self._rules[address]

    def _entry(self, number: int) -> tuple[int, int]:
        start, entry = struct.unpack_from("<ii", self._data, self._start + 8 * number)
        return self._address + start, self._address + entry

    def _find(self, address: int) -> Rules | None:
        if self._starts:
            place = bisect_right(self._starts, address) - 1
            return None if place < 0 else self._of_entry(self._entries[place], address)
        low, high = 0, self._count
        while low < high:
            middle = (low + high) // 2
            if self._entry(middle)[0] <= address:
                low = middle + 1
            else:
                high = middle
        if not low:
            return None
        return self._of_entry(self._entry(low - 1)[1], address)

    def _record(self, at: int) -> tuple[bytes, int]:
        """The contents of an entry of .eh_frame, and their address."""
        (length,) = struct.unpack("<I", self._elf.at(at, 4))
        if not 4 <= length <= _MOST_ENTRY:
            raise ElfError("an entry of odd length")
        return self._elf.at(at + 4, length), at + 4

    def _of_entry(self, at: int, address: int) -> Rules | None:
        data, start = self._record(at)
        reader = _Reader(data)
        common = self._common(start - reader.number(4))
        begin = reader.encoded(common.encoding, start)
        size = reader.encoded(common.encoding & 0x0F, 0)
        if not begin <= address < begin + size:
            return None
        if common.has_length:
            reader.block()
        initial = Rules()
        _run(_Reader(common.instructions), common, initial, initial, address - begin)
        rules = initial.copy()
        _run(_Reader(data, reader.at), common, rules, initial, address - begin)
        if common.returns != machine().returns:
            raise ElfError("another register with the return address")
        return rules

    def _common(self, at: int) -> _Common:
        if at not in self._commons:
            self._commons[at] = self._read_common(at)
        return self._commons[at]

    def _read_common(self, at: int) -> _Common:
        data, start = self._record(at)
        reader = _Reader(data, 4)
        version, letters = reader.byte(), reader.text()
        code_align, data_align = reader.unsigned(), reader.signed()
        returns = reader.byte() if version == 1 else reader.unsigned()
        encoding, has_length = 0, letters[:1] == b"z"
        if has_length:
            end = reader.unsigned() + reader.at
            for letter in letters[1:]:
                if letter == ord("R"):
                    encoding = reader.byte()
                elif letter == ord("P"):
                    reader.encoded(reader.byte() & 0x7F, start)
                elif letter == ord("L"):
                    reader.byte()
            reader.at = end
        return _Common(code_align, data_align, returns, encoding, has_length, data[reader.at :])


def _run(program: _Reader, common: _Common, rules: Rules, initial: Rules, wanted: int) -> None:
    """Run the program of an entry up to the wanted place in the function."""
    place = 0
    stack: list[Rules] = []

    def save(register: int, offset: int) -> None:
        rules.offsets[register] = offset * common.data_align
        rules.undefined.discard(register)

    def restore(register: int) -> None:
        rules.offsets.pop(register, None)
        rules.undefined.discard(register)
        if register in initial.offsets:
            rules.offsets[register] = initial.offsets[register]

    for _ in range(_MOST_STEPS):
        if program.at >= len(program.data):
            return
        operation = program.byte()
        low = operation & 0x3F
        match operation & 0xC0:
            case 0x40:
                place += low * common.code_align
            case 0x80:
                save(low, program.unsigned())
            case 0xC0:
                restore(low)
            case _:
                match low:
                    case 0x00:  # nop
                        pass
                    case 0x01:  # set_loc
                        raise ElfError("an absolute place")
                    case 0x02 | 0x03 | 0x04:  # advance_loc1, 2, 4
                        place += program.number(1 << (low - 2)) * common.code_align
                    case 0x05:  # offset_extended
                        save(program.unsigned(), program.unsigned())
                    case 0x06:  # restore_extended
                        restore(program.unsigned())
                    case 0x07:  # undefined
                        register = program.unsigned()
                        rules.offsets.pop(register, None)
                        rules.undefined.add(register)
                    case 0x08:  # same_value
                        restore(program.unsigned())
                    case 0x09:  # register
                        program.unsigned()
                        program.unsigned()
                    case 0x0A:  # remember_state
                        stack.append(rules.copy())
                        if len(stack) > 64:
                            raise ElfError("too deep")
                    case 0x0B:  # restore_state
                        # An IndexError for one without a state.
                        then = stack.pop()
                        rules.cfa, rules.offsets = then.cfa, then.offsets
                        rules.undefined = then.undefined
                    case 0x0C:  # def_cfa
                        rules.cfa = program.unsigned(), program.unsigned()
                    case 0x0D:  # def_cfa_register
                        offset = 0 if isinstance(rules.cfa, bytes) else rules.cfa[1]
                        rules.cfa = program.unsigned(), offset
                    case 0x0E:  # def_cfa_offset
                        register = 0 if isinstance(rules.cfa, bytes) else rules.cfa[0]
                        rules.cfa = register, program.unsigned()
                    case 0x0F:  # def_cfa_expression
                        rules.cfa = program.block()
                    case 0x10 | 0x16:  # expression, val_expression
                        rules.offsets.pop(program.unsigned(), None)
                        program.block()
                    case 0x11:  # offset_extended_sf
                        save(program.unsigned(), program.signed())
                    case 0x12:  # def_cfa_sf
                        register = program.unsigned()
                        rules.cfa = register, program.signed() * common.data_align
                    case 0x13:  # def_cfa_offset_sf
                        register = 0 if isinstance(rules.cfa, bytes) else rules.cfa[0]
                        rules.cfa = register, program.signed() * common.data_align
                    case 0x2D:  # AARCH64_negate_ra_state
                        pass
                    case 0x2E:  # GNU_args_size
                        program.unsigned()
                    case _:
                        raise ElfError("an unknown operation")
        if place > wanted:
            return


Memory = Callable[[int], int | None]
"""The word at an address; None where it is not known."""


def _expression(program: bytes, registers: Mapping[int, int], memory: Memory) -> int | None:
    """The value of the few expressions that compilers use; None for others."""
    reader = _Reader(program)
    stack: list[int] = []
    try:
        while reader.at < len(program):
            operation = reader.byte()
            if 0x70 <= operation <= 0x8F:  # breg
                stack.append(registers[operation - 0x70] + reader.signed())
            elif operation == 0x06:  # deref
                word = memory(stack.pop())
                if word is None:
                    return None
                stack.append(word)
            elif operation == 0x23:  # plus_uconst
                stack.append(stack.pop() + reader.unsigned())
            elif operation == 0x22:  # plus
                stack.append(stack.pop() + stack.pop())
            else:
                return None
        return stack[-1]
    except (KeyError, IndexError):
        return None


@dataclass(frozen=True, slots=True)
class Stack:
    """Addresses of code, innermost first; those of callers are behind their call."""

    addresses: tuple[int, ...]
    is_whole: bool
    """True if it was followed to the outermost function."""


class Code(Protocol):
    """What of the memory of a process is code."""

    def is_code(self, address: int) -> bool:
        """True for an address in executable memory."""

    def rules(self, address: int) -> Rules | None:
        """The rules at an address; None if its file has none."""


def unwind(code: Code, registers: Registers, sample: bytes, by_frames: Sequence[int]) -> Stack:
    """The stack of a thread.

    ``sample``: its memory from the stack pointer on. ``by_frames``: what the kernel found by frame
    pointers, used for what lies beyond the sample.
    """
    of = machine()
    base = registers.stack_pointer
    words = len(sample) // 8

    def memory(address: int) -> int | None:
        place = address - base
        if place < 0 or place % 8 or place // 8 >= words:
            return None
        return int(_WORD.unpack_from(sample, place)[0])

    values = {of.frame: registers.frame, of.stack: base}
    values |= dict(zip(of.saved, registers.saved, strict=False))
    if of is _ARM:
        values[of.returns] = registers.link
    found = [registers.instruction] if registers.instruction else []
    is_whole = False
    while found and len(found) < MOST_FRAMES:
        # A call can be the last instruction of a function.
        at = found[-1] - (len(found) > 1)
        rules = code.rules(at)
        if rules is None:
            caller = _by_frame_pointer(values, of, memory)
        else:
            if of.returns in rules.undefined:
                is_whole = True
                break
            caller = _by_rules(rules, values, of, memory)
        if caller is None:
            break
        if caller == 0:
            is_whole = True
            break
        if not code.is_code(caller - 1):
            break
        found.append(caller)
    return _joined(code, found, is_whole, by_frames)


def _by_rules(rules: Rules, values: dict[int, int], of: Machine, memory: Memory) -> int | None:
    """Step to the caller: its registers in ``values``, and where it goes on."""
    if isinstance(rules.cfa, bytes):
        cfa = _expression(rules.cfa, values, memory)
    else:
        register, offset = rules.cfa
        cfa = values[register] + offset if register in values else None
    if cfa is None or cfa <= values[of.stack] - 1:
        return None
    returns = values.get(of.returns) if of is _ARM else None
    restored = {}
    for register, offset in rules.offsets.items():
        word = memory(cfa + offset)
        if word is not None:
            restored[register] = word
        elif register == of.returns:
            return None
        else:
            values.pop(register, None)
    returns = restored.get(of.returns, returns)
    values |= restored
    values[of.stack] = cfa
    if of is _ARM and of.returns not in rules.offsets:
        values.pop(of.returns, None)
    return returns


def _by_frame_pointer(values: dict[int, int], of: Machine, memory: Memory) -> int | None:
    frame = values.get(of.frame, 0)
    if frame < values[of.stack]:
        return None
    outer, returns = memory(frame), memory(frame + 8)
    if outer is None or returns is None:
        return None
    values[of.frame], values[of.stack] = outer, frame + 16
    if of is _ARM:
        values.pop(of.returns, None)
    return returns


def _joined(code: Code, found: list[int], is_whole: bool, by_frames: Sequence[int]) -> Stack:
    """What was followed here, and behind it what the kernel has found."""
    kernel = []
    for number, address in enumerate(by_frames):
        if not code.is_code(address - (number > 0)):
            break
        kernel.append(address)
    if is_whole:
        return Stack(tuple(found), True)
    if found and len(found) > 1 and found[-1] in kernel:
        found = [*found, *kernel[kernel.index(found[-1]) + 1 :]]
    elif len(kernel) > len(found):
        found = kernel
    return Stack(tuple(found), False)
