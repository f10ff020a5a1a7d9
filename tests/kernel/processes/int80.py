# SPDX-License-Identifier: GPL-2.0-only
"""System calls as 32-bit x86 programs make them, from this 64-bit one: ``int $0x80``."""

import ctypes
import mmap
import os
import platform
import signal
import struct

_MAP_32BIT = 0x40
# push rbx; mov eax, edi; mov ebx, esi; xchg ecx, edx; mov esi, r8d; mov edi, r9d; int 0x80;
# pop rbx; ret
_CODE = bytes.fromhex("53 89f8 89f3 87d1 4489c6 4489cf cd80 5b c3")
_MEMORY_BYTES = 1 << 16


class Int80:
    """Such calls, and memory below 4 GB for what they point at."""

    def __init__(self) -> None:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_32BIT
        protection = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
        self.memory = mmap.mmap(-1, _MEMORY_BYTES, flags=flags, prot=protection)
        self.base = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self.memory[: len(_CODE)] = _CODE
        self._call = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_uint32] * 6)(self.base)
        self._free = 4096

    def put(self, content: bytes) -> int:
        """Address of a copy of the content."""
        at = self._free
        self.memory[at : at + len(content)] = content
        self._free += len(content) + 15 & ~15
        return self.base + at

    def words(self, *values: int) -> int:
        """Address of these 32-bit words."""
        return self.put(struct.pack(f"<{len(values)}I", *values))

    def __call__(self, number: int, *arguments: int) -> int:
        """The result of a call of arch/x86/entry/syscalls/syscall_32.tbl."""
        result: int = self._call(number, *arguments, *[0] * (5 - len(arguments)))
        if result < 0:
            raise OSError(-result, f"system call {number}: {os.strerror(-result)}")
        return result


def works() -> bool:
    """True if this kernel runs 32-bit calls."""
    if platform.machine() != "x86_64":
        return False
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        os._exit(0 if Int80()(20) == os.getpid() else 1)  # getpid
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
