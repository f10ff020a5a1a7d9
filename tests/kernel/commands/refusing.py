# SPDX-License-Identifier: GPL-2.0-only
"""Runs a program with a refusal: ``python refusing.py WHAT PROGRAM ARGUMENTS...``.

WHAT is the name of a system call that fails with EPERM, or ``memory`` for 300 MB of addresses.
"""

import ctypes
import os
import platform
import resource
import struct
import sys

_NUMBERS = {
    "x86_64": {"socketpair": 53, "memfd_create": 319, "pipe2": 293},
    "aarch64": {"socketpair": 199, "memfd_create": 279, "pipe2": 59},
}[platform.machine()]
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _EPERM = 0x7FFF0000, 0x00050001


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def refuse(number: int) -> None:
    """Make a system call fail from here on, in this process and its programs."""
    instructions = b"".join(
        struct.pack("<HBBI", *instruction)
        for instruction in (
            (_LOAD, 0, 0, 0),
            (_JUMP_IF_EQUAL, 0, 1, number),
            (_RETURN, 0, 0, _EPERM),
            (_RETURN, 0, 0, _ALLOW),
        )
    )
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    program = _Program(len(instructions) // 8, instructions)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    what, *command = sys.argv[1:]
    if what == "memory":
        resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))
    else:
        refuse(_NUMBERS[what])
    os.execv(command[0], command)  # noqa: S606
