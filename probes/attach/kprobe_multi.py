# SPDX-License-Identifier: GPL-2.0-only
"""Kprobe programs that are attached to the function graph tracer, by kprobe_multi links.

They run with preemption disabled, so the kernel skips none because a task lost the CPU in the
middle of one; nothing has to be written to tracefs, and CAP_PERFMON is enough. They are used since
Linux kernel commit 4346ba160409 ("fprobe: Rewrite fprobe on function-graph tracer") (in v6.14):
before, the kernel keeps room for two calls a CPU whose return is probed.
"""

import ctypes
import os
from functools import cache
from typing import Any

from fdscope.probes.kernel import libbpf as programs
from fdscope.probes.kernel.btf import Btf
from fdscope.probes.kernel.libbpf import failed, libbpf

MOST_TRACEPOINT_ARGUMENTS = 5
"""Of a tracepoint that is hooked by its function: one register more holds something else."""

_TRIED_FUNCTION = b"vfs_read"
# include/uapi/linux/bpf.h: BPF_PROG_TYPE_KPROBE, BPF_PROG_TYPE_RAW_TRACEPOINT,
# BPF_TRACE_KPROBE_MULTI, BPF_F_KPROBE_MULTI_RETURN
_KPROBE, _RAW_TRACEPOINT, _MULTI, _AT_RETURN = 2, 17, 42, 1


class _LinkOptions(ctypes.Structure):
    """struct bpf_link_create_opts of libbpf, as far as it is used."""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("flags", ctypes.c_uint32),
        ("iterator", ctypes.c_void_p),
        ("iterator_length", ctypes.c_uint32),
        ("target_btf_id", ctypes.c_uint32),
        ("multi_flags", ctypes.c_uint32),
        ("count", ctypes.c_uint32),
        ("symbols", ctypes.POINTER(ctypes.c_char_p)),
        ("addresses", ctypes.c_void_p),
        ("cookies", ctypes.c_void_p),
    )


def _link(program: int, function: bytes, at_return: bool) -> int:
    """Attach a program to the entry or the return of a function; the link. OSError if refused."""
    options = _LinkOptions(
        size=ctypes.sizeof(_LinkOptions),
        multi_flags=_AT_RETURN if at_return else 0,
        count=1,
        symbols=(ctypes.c_char_p * 1)(function),
    )
    found: int = libbpf().bpf_link_create(program, 0, _MULTI, ctypes.byref(options))
    if found < 0:
        raise failed("the kernel does not trace this function")
    return found


def _load(name: bytes, instructions: Any, count: int) -> int:
    return programs.load(name, instructions, count, _KPROBE, _MULTI)


class Linked:
    """The programs of one compiled object that are attached by such links."""

    def __init__(self, bpf: Any, library: Any) -> None:
        """``bpf``: a ``bcc.BPF`` of which nothing is loaded; ``library``: bcc's ``lib``."""
        self._module, self._library = bpf.module, library
        self.programs: dict[str, int] = {}
        """Name to descriptor."""
        self.links: list[int] = []

    def load(self, name: str) -> int:
        """Load a program of the object; its descriptor. OSError if refused."""
        start = self._library.bpf_function_start(self._module, name.encode())
        size = self._library.bpf_function_size(self._module, name.encode())
        program = _load(name.encode(), start, size // programs.INSTRUCTION_BYTES)
        self.programs[name] = program
        return program

    def attach(self, name: str, function: str, at_return: bool = False) -> None:
        """Load a program and attach it to a function; OSError if refused."""
        self.links.append(_link(self.load(name), function.encode(), at_return))

    def attach_more(self, name: str, tracepoint: str) -> None:
        """One more program for the function of a tracepoint, before ``attach_tracepoint``.

        OSError if refused.
        """
        self.attach(name, f"__traceiter_{tracepoint}")
        self.links.append(self.programs.pop(name))

    def attach_tracepoint(self, name: str, tracepoint: str) -> None:
        """Load a program and attach it to the function that calls all programs of a tracepoint.

        The kernel calls that function only where there are two, so two that do nothing are put
        there. OSError if refused.
        """
        nothing = programs.load(b"nothing", *programs.NOTHING, _RAW_TRACEPOINT, 0)
        try:
            for _ in range(2):
                self.links.append(programs.attach_raw_tracepoint(tracepoint, nothing))
        finally:
            os.close(nothing)
        self.attach(name, f"__traceiter_{tracepoint}")


@cache
def work(btf: Btf | None) -> bool:
    """True if this kernel has them, with room for any number of calls, and lets us use them.

    Found once for a BTF by attaching a program that does nothing.
    """
    if btf is None or btf.offset("fprobe", "entry_handler") is None:
        return False
    if btf.offset("fprobe", "rethook") is not None:
        return False
    try:
        program = _load(b"trial", *programs.NOTHING)
    except OSError:
        return False
    try:
        os.close(_link(program, _TRIED_FUNCTION, at_return=True))
    except OSError:
        return False
    finally:
        os.close(program)
    return True
