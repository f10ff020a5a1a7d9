# SPDX-License-Identifier: GPL-2.0-only
"""Instructions that BCC's compiler cannot write.

In their place the C text calls helpers with numbers that the kernel does not have: see
``probes/bpf/core/calls.h``.
"""

import struct
from collections.abc import Iterator, Mapping

from fdscope.probes.kernel.libbpf import INSTRUCTION_BYTES

INSTRUCTION = struct.Struct("<BBhi")
"""Operation, registers (the source in the upper half), offset, immediate.

Documentation/bpf/standardization/instruction-set.rst of the kernel has the values below.
"""
LOAD_WIDE = 0x18
"""BPF_LD | BPF_IMM | BPF_DW: it takes two instructions."""

KERNEL_FUNCTION = 0x40000000
"""And the number of the function in the kernel's BTF: a call of that function."""
COMPARE_AND_SWAP = 0x3FFFFFFF
"""u64 old = f(u64 *address, u64 expected, u64 wanted)"""

_CALL, _EXIT = 0x85, 0x95
_JUMPS = (5, 6)
"""BPF_JMP and BPF_JMP32, the class in the lower three bits."""
_OF_KERNEL = 2
"""BPF_PSEUDO_KFUNC_CALL, the source register of a call."""
_OF_VALUE = 2
"""BPF_PSEUDO_MAP_VALUE, the source register of a wide load."""
_SWAP = (
    INSTRUCTION.pack(0xBF, 2 << 4 | 0, 0, 0),  # r0 = r2
    INSTRUCTION.pack(0xDB, 3 << 4 | 1, 0, 0xF1),  # r0 = cmpxchg(r1, r0, r3)
)

_One = tuple[int, int, int, int]


def each(program: bytes) -> Iterator[tuple[int, _One]]:
    """(place, fields of ``INSTRUCTION``) of each instruction, wide ones once; struct.error."""
    at = 0
    while at * INSTRUCTION_BYTES < len(program):
        one = INSTRUCTION.unpack_from(program, at * INSTRUCTION_BYTES)
        yield at, one
        at += 2 if one[0] == LOAD_WIDE else 1


def _jumps(one: _One) -> bool:
    return one[0] & 7 in _JUMPS and one[0] not in (_CALL, _EXIT)


def with_addresses(program: bytes, stand_ins: Mapping[int, int]) -> bytes:
    """The program with loads of the address of a map's value, in the place of those of a number.

    ``stand_ins``: number to map. So a program reads the value of an array without a call.
    """
    changed = bytearray(program)
    for at, (code, registers, offset, low) in each(program):
        if code != LOAD_WIDE or registers >> 4:
            continue
        place = at * INSTRUCTION_BYTES
        *_, high = INSTRUCTION.unpack_from(program, place + INSTRUCTION_BYTES)
        name = stand_ins.get((high & 0xFFFF_FFFF) << 32 | low & 0xFFFF_FFFF)
        if name is not None:
            INSTRUCTION.pack_into(changed, place, code, registers | _OF_VALUE << 4, offset, name)
            INSTRUCTION.pack_into(changed, place + INSTRUCTION_BYTES, 0, 0, 0, 0)
    return bytes(changed)


def completed(program: bytes) -> bytes:
    """The program with what such calls stand for; it is longer by one for each swap."""
    swaps = [at for at, (code, _, _, value) in each(program)
             if code == _CALL and value == COMPARE_AND_SWAP]  # fmt: skip

    def moved(at: int) -> int:
        return at + sum(swap < at for swap in swaps)

    parts: list[bytes] = []
    for at, (code, registers, offset, value) in each(program):
        start = at * INSTRUCTION_BYTES
        if at in swaps:
            parts += _SWAP
        elif code == _CALL and not registers >> 4 and value >= KERNEL_FUNCTION:
            number = value - KERNEL_FUNCTION
            parts.append(INSTRUCTION.pack(code, _OF_KERNEL << 4, 0, number))
        elif _jumps((code, registers, offset, value)):
            offset = moved(at + 1 + offset) - moved(at) - 1
            parts.append(INSTRUCTION.pack(code, registers, offset, value))
        else:
            count = 2 if code == LOAD_WIDE else 1
            parts.append(program[start : start + count * INSTRUCTION_BYTES])
    return b"".join(parts)
