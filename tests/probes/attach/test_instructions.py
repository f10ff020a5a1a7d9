# SPDX-License-Identifier: GPL-2.0-only
"""Calls that stand for what BCC's compiler cannot write are replaced, and jumps still arrive."""

import struct

from fdscope.probes.attach.instructions import COMPARE_AND_SWAP, KERNEL_FUNCTION, completed

Instruction = tuple[int, int, int, int]

SWAP = (0x85, 0, 0, COMPARE_AND_SWAP)
IN_ITS_PLACE: list[Instruction] = [(0xBF, 0x20, 0, 0), (0xDB, 0x31, 0, 0xF1)]
EXIT = (0x95, 0, 0, 0)


def program(*instructions: Instruction) -> bytes:
    return b"".join(struct.pack("<BBhi", *each) for each in instructions)


def test_a_call_of_the_kernel() -> None:
    helper = (0x85, 0, 0, 112)
    asked = program((0x85, 0, 0, KERNEL_FUNCTION + 65504), helper, EXIT)
    assert completed(asked) == program((0x85, 0x20, 0, 65504), helper, EXIT)


def test_jumps_over_a_swap() -> None:
    wide = [(0x18, 0x11, 0, 7), (0, 0, 0, 0)]
    asked = program((0x15, 0, 4, 0), SWAP, *wide, (0x05, 0, -4, 0), (0x1D, 0x21, 0, 0), EXIT)
    assert completed(asked) == program(
        (0x15, 0, 5, 0), *IN_ITS_PLACE, *wide, (0x05, 0, -5, 0), (0x1D, 0x21, 0, 0), EXIT
    )


def test_a_jump_to_a_swap() -> None:
    asked = program((0x05, 0, 1, 0), EXIT, SWAP, SWAP, EXIT)
    assert completed(asked) == program((0x05, 0, 1, 0), EXIT, *IN_ITS_PLACE, *IN_ITS_PLACE, EXIT)


def test_others_stay() -> None:
    asked = program((0x18, 0x11, 0, COMPARE_AND_SWAP), (0, 0, 0, COMPARE_AND_SWAP), EXIT)
    assert completed(asked) == asked
