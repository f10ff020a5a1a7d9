# SPDX-License-Identifier: GPL-2.0-only
"""The C library libbpf: the calls that are used, and their errors."""

import ctypes
import os
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

_ON_RECORD = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
"""int (*ring_buffer_sample_fn)(void *ctx, void *data, size_t size)"""


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
    library.bpf_map_update_elem.argtypes = [ctypes.c_int, pointer, pointer, ctypes.c_uint64]
    library.bpf_map_create.argtypes = [ctypes.c_int, ctypes.c_char_p, u32, u32, u32, pointer]
    library.bpf_prog_load.argtypes = [
        ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, pointer, ctypes.c_size_t, pointer
    ]  # fmt: skip
    library.bpf_link_create.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int, pointer]
    library.bpf_raw_tracepoint_open.argtypes = [ctypes.c_char_p, ctypes.c_int]
    library.libbpf_num_possible_cpus.argtypes = []
    library.bpf_prog_get_fd_by_id.argtypes = [u32]
    library.bpf_prog_test_run_opts.argtypes = [ctypes.c_int, pointer]
    library.ring_buffer__new.argtypes = [ctypes.c_int, _ON_RECORD, pointer, pointer]
    library.ring_buffer__new.restype = pointer
    library.ring_buffer__consume.argtypes = [pointer]
    library.ring_buffer__epoll_fd.argtypes = [pointer]
    library.ring_buffer__free.argtypes = [pointer]
    library.ring_buffer__free.restype = None
    return library


def failed(what: str) -> OSError:
    """The error to raise after a call that has just failed."""
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")


def host_cpus() -> int:
    """Slots of a per-CPU value: one for each possible CPU, without gaps; OSError if not known."""
    cpus: int = libbpf().libbpf_num_possible_cpus()
    if cpus < 0:
        raise OSError(-cpus, f"cannot read the possible CPUs: {os.strerror(-cpus)}")
    return cpus


# BPF programs that are loaded: what the kernel knows of them, and a run on demand.

_STATISTICS = Path("/proc/sys/kernel/bpf_stats_enabled")

INSTRUCTION_BYTES = 8
NOTHING = bytes((0xB7, *[0] * 7)) + bytes((0x95, *[0] * 7)), 2
"""Instructions of a program that does nothing (r0 = 0; exit), and their number."""


class _LoadOptions(ctypes.Structure):
    """struct bpf_prog_load_opts of libbpf, as far as it is used."""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("attempts", ctypes.c_int),
        ("expected_attach_type", ctypes.c_int),
        ("program_btf", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("interface", ctypes.c_uint32),
        ("kernel_version", ctypes.c_uint32),
        ("attach_btf_id", ctypes.c_uint32),
        ("attach_program", ctypes.c_uint32),
        ("attach_btf", ctypes.c_uint32),
        ("fds", ctypes.c_void_p),
        ("function_info", ctypes.c_void_p),
        ("function_info_count", ctypes.c_uint32),
        ("function_info_bytes", ctypes.c_uint32),
        ("line_info", ctypes.c_void_p),
        ("line_info_count", ctypes.c_uint32),
        ("line_info_bytes", ctypes.c_uint32),
        ("log_level", ctypes.c_uint32),
        ("log_size", ctypes.c_uint32),
        ("log", ctypes.c_char_p),
    )


class _MapOptions(ctypes.Structure):
    """struct bpf_map_create_opts of libbpf, as far as it is used."""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("btf", ctypes.c_uint32),
        ("key_type", ctypes.c_uint32),
        ("value_type", ctypes.c_uint32),
        ("vmlinux_value_type", ctypes.c_uint32),
        ("inner_map", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
    )


class ProgramKind(Enum):
    """An enum bpf_prog_type and an enum bpf_attach_type of include/uapi/linux/bpf.h."""

    KPROBE = 2, 0
    KPROBE_MULTI = 2, 42
    KPROBE_SESSION = 2, 56
    RAW_TRACEPOINT = 17, 0
    FENTRY = 26, 24
    FEXIT = 26, 25

    @property
    def type(self) -> int:
        """The enum bpf_prog_type."""
        return self.value[0]

    @property
    def attach_type(self) -> int:
        """The enum bpf_attach_type."""
        return self.value[1]


_LOG_BYTES = 1 << 20
_LOG_END = 4000


def load(
    name: bytes, instructions: Any, count: int, kind: ProgramKind, function_id: int = 0
) -> int:
    """Load ``count`` instructions, as bytes or an address; the program. OSError if refused.

    ``function_id``: the number of the kernel function's type where the kind asks for it.
    """
    options = _load_options(kind, function_id)
    program: int = libbpf().bpf_prog_load(
        kind.type, name, b"GPL", instructions, count, ctypes.byref(options)
    )
    if program < 0:
        raise failed("the kernel refuses a program of this type")
    return program


def _load_options(kind: ProgramKind, function_id: int) -> _LoadOptions:
    return _LoadOptions(
        size=ctypes.sizeof(_LoadOptions),
        expected_attach_type=kind.attach_type,
        attach_btf_id=function_id,
    )


def why_refused(
    name: bytes, instructions: Any, count: int, kind: ProgramKind, function_id: int = 0
) -> str:
    """The end of the verifier's log for what ``load`` was refused; "" if it has none."""
    told = ctypes.create_string_buffer(_LOG_BYTES)
    options = _load_options(kind, function_id)
    options.log_level, options.log_size = 1, _LOG_BYTES
    options.log = ctypes.cast(told, ctypes.c_char_p)
    program = libbpf().bpf_prog_load(
        kind.type, name, b"GPL", instructions, count, ctypes.byref(options)
    )
    if program >= 0:
        os.close(program)
    return told.value.decode(errors="replace")[-_LOG_END:]


def make_map(
    name: str, kind: int, key_bytes: int, value_bytes: int, entries: int, flags: int
) -> int:
    """Make a map; its descriptor. ``kind`` is an enum bpf_map_type. OSError if refused."""
    options = _MapOptions(size=ctypes.sizeof(_MapOptions), flags=flags)
    made: int = libbpf().bpf_map_create(
        kind, name.encode(), key_bytes, value_bytes, entries, ctypes.byref(options)
    )
    if made < 0:
        raise failed(f"the kernel does not make the map {name}")
    return made


def put(fd: int, key: bytes, value: bytes) -> None:
    """Set the value of a key of a map; OSError if refused."""
    if libbpf().bpf_map_update_elem(fd, key, value, 0) < 0:
        raise failed("cannot write to a BPF map")


def attach_function(program: int) -> int:
    """Attach a fentry or fexit program to its function; the link. OSError if refused."""
    link: int = libbpf().bpf_raw_tracepoint_open(None, program)
    if link < 0:
        raise failed("the kernel loads programs of this type and does not attach them")
    return link


def attach_raw_tracepoint(tracepoint: str, program: int) -> int:
    """Attach a program to a raw tracepoint; the link. OSError if refused."""
    link: int = libbpf().bpf_raw_tracepoint_open(tracepoint.encode(), program)
    if link < 0:
        raise failed("the kernel refuses programs on this tracepoint")
    return link


def are_measured() -> bool:
    """True while the kernel counts the runs of programs and the time they take."""
    return _STATISTICS.read_text().strip() == "1"


def statistic(fd: int, name: str) -> int:
    """A number that the kernel keeps of a program or map, e.g. ``memlock``; 0 if it does not."""
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


class RingBuffer:
    """The reading end of a BPF ring buffer; for one thread."""

    def __init__(self, map_fd: int) -> None:
        """OSError if the kernel or the library refuses."""
        self._records: list[bytes] = []
        self._most = 0
        self._callback = _ON_RECORD(self._on_record)  # must live as long as the ring
        self._ring = libbpf().ring_buffer__new(map_fd, self._callback, None, None)
        if not self._ring:
            raise failed("cannot read a BPF ring buffer")
        self.descriptor: int = libbpf().ring_buffer__epoll_fd(self._ring)
        """Readable while there are records."""

    def _on_record(self, _context: int, address: int, size: int) -> int:
        """Keep a record; a negative result ends the call after it."""
        self._records.append(ctypes.string_at(address, size))
        return -1 if len(self._records) >= self._most else 0

    def take(self, most: int) -> list[bytes]:
        """Up to ``most`` records, oldest first; the kernel has their room back."""
        self._most = most
        libbpf().ring_buffer__consume(self._ring)
        taken, self._records = self._records, []
        return taken

    def close(self) -> None:
        """Give its memory back; the map stays open."""
        if self._ring:
            libbpf().ring_buffer__free(self._ring)
        self._ring = None
