# SPDX-License-Identifier: GPL-2.0-only
"""The C library libbpf: the calls that are used, and their errors."""

import ctypes
import os
from functools import cache


@cache
def libbpf() -> ctypes.CDLL:
    """The library, with the types of its arguments; OSError where it is not installed."""
    library = ctypes.CDLL("libbpf.so.1", use_errno=True)
    pointer, u32 = ctypes.c_void_p, ctypes.c_uint32
    library.bpf_map_lookup_batch.argtypes = [
        ctypes.c_int, pointer, pointer, pointer, pointer, ctypes.POINTER(u32), pointer
    ]  # fmt: skip
    library.bpf_map_delete_batch.argtypes = [ctypes.c_int, pointer, ctypes.POINTER(u32), pointer]
    library.bpf_map_lookup_elem.argtypes = [ctypes.c_int, pointer, pointer]
    library.bpf_prog_load.argtypes = [
        ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, pointer, ctypes.c_size_t, pointer
    ]  # fmt: skip
    library.bpf_link_create.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int, pointer]
    library.bpf_raw_tracepoint_open.argtypes = [ctypes.c_char_p, ctypes.c_int]
    library.libbpf_num_possible_cpus.argtypes = []
    library.bpf_prog_get_fd_by_id.argtypes = [u32]
    library.bpf_prog_test_run_opts.argtypes = [ctypes.c_int, pointer]
    return library


def failed(what: str) -> OSError:
    """What a call that has just failed is to raise."""
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")
