# SPDX-License-Identifier: GPL-2.0-only
"""BPF programs that are loaded: what the kernel knows of them, and a run on demand."""

import ctypes
import os
from pathlib import Path

from probes.libbpf import failed, libbpf

_STATISTICS = Path("/proc/sys/kernel/bpf_stats_enabled")


def are_measured() -> bool:
    """True while the kernel counts the runs of programs and the time they take."""
    return _STATISTICS.read_text().strip() == "1"


def statistic(fd: int, name: str) -> int:
    """A number that the kernel keeps of a program, e.g. ``recursion_misses``; 0 if it does not."""
    for line in Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value)
    return 0


def exists(program_id: int) -> bool:
    """True until the kernel has freed the BPF program, some time after its last user left."""
    fd = libbpf().bpf_prog_get_fd_by_id(program_id)
    if fd >= 0:
        os.close(fd)
    return bool(fd >= 0)


class _TestRun(ctypes.Structure):
    """struct bpf_test_run_opts of libbpf."""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("data_in", ctypes.c_void_p),
        ("data_out", ctypes.c_void_p),
        ("data_size_in", ctypes.c_uint32),
        ("data_size_out", ctypes.c_uint32),
        ("context_in", ctypes.c_void_p),
        ("context_out", ctypes.c_void_p),
        ("context_size_in", ctypes.c_uint32),
        ("context_size_out", ctypes.c_uint32),
        ("result", ctypes.c_uint32),
        ("repeat", ctypes.c_int),
        ("duration", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("cpu", ctypes.c_uint32),
        ("batch_size", ctypes.c_uint32),
    )


def run(fd: int, arguments: tuple[int, ...]) -> int:
    """Run a raw tracepoint program once, here and now; its result. OSError if refused."""
    context = (ctypes.c_uint64 * len(arguments))(*arguments)
    run = _TestRun(
        size=ctypes.sizeof(_TestRun),
        context_in=ctypes.addressof(context),
        context_size_in=ctypes.sizeof(context),
    )
    if libbpf().bpf_prog_test_run_opts(fd, ctypes.byref(run)) < 0:
        raise failed("cannot run a BPF program")
    return int(run.result)
