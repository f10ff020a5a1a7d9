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

from fdscope.probes.attach.programs import Programs
from fdscope.probes.kernel import libbpf
from fdscope.probes.kernel.btf import Btf
from fdscope.probes.kernel.libbpf import ProgramKind, failed

MOST_TRACEPOINT_ARGUMENTS = 5
"""Of a tracepoint that is hooked by its function: one register more holds something else."""

_TRIED_FUNCTION = b"vfs_read"
_AT_RETURN = 1  # include/uapi/linux/bpf.h: BPF_F_KPROBE_MULTI_RETURN


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


def _link(
    program: int,
    function: bytes,
    at_return: bool,
    kind: ProgramKind = ProgramKind.KPROBE_MULTI,
) -> int:
    """Attach a program to the entry or the return of a function; the link. OSError if refused."""
    options = _LinkOptions(
        size=ctypes.sizeof(_LinkOptions),
        multi_flags=_AT_RETURN if at_return else 0,
        count=1,
        symbols=(ctypes.c_char_p * 1)(function),
    )
    found: int = libbpf.libbpf().bpf_link_create(
        program, 0, kind.attach_type, ctypes.byref(options)
    )
    if found < 0:
        raise failed("the kernel does not trace this function")
    return found


class Linked:
    """The programs of one compiled object that are attached by such links."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs

    def load(self, name: str) -> int:
        """Load a program of the object; its descriptor. OSError if refused."""
        return self._programs.load(name, ProgramKind.KPROBE_MULTI)

    def attach(self, name: str, function: str, at_return: bool = False) -> None:
        """Load a program and attach it to a function; OSError if refused."""
        self._programs.links.append(_link(self.load(name), function.encode(), at_return))

    def attach_session(self, name: str, function: str) -> None:
        """Load a program and attach it to the entry and the return; OSError if refused."""
        program = self._programs.load(name, ProgramKind.KPROBE_SESSION)
        link = _link(program, function.encode(), False, ProgramKind.KPROBE_SESSION)
        self._programs.links.append(link)

    def attach_more(self, name: str, tracepoint: str) -> None:
        """One more program for the function of a tracepoint, before ``attach_tracepoint``.

        OSError if refused.
        """
        self.attach(name, f"__traceiter_{tracepoint}")
        self._programs.links.append(self._programs.programs.pop(name))

    def attach_tracepoint(self, name: str, tracepoint: str) -> None:
        """Load a program and attach it to the function that calls all programs of a tracepoint.

        The kernel calls that function only where there are two, so two that do nothing are put
        there. OSError if refused.
        """
        nothing = libbpf.load(b"nothing", *libbpf.NOTHING, ProgramKind.RAW_TRACEPOINT)
        try:
            for _ in range(2):
                link = libbpf.attach_raw_tracepoint(tracepoint, nothing)
                self._programs.links.append(link)
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
        program = libbpf.load(b"trial", *libbpf.NOTHING, ProgramKind.KPROBE_MULTI)
    except OSError:
        return False
    try:
        os.close(_link(program, _TRIED_FUNCTION, at_return=True))
    except OSError:
        return False
    finally:
        os.close(program)
    return True
