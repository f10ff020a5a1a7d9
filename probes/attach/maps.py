# SPDX-License-Identifier: GPL-2.0-only
"""Every BPF map: its kind, key, value and size, and which configurations have it.

The C declarations are generated from this table, and ``probes.read`` opens the maps by it. A map
is named here and where it is used, and nowhere else.
"""

from dataclasses import dataclass
from enum import Enum

from fdscope.probes.attach.settings import Settings
from fdscope.probes.hooks.syscalls import COMPAT_SLOTS, SLOTS, TailCall
from fdscope.probes.kernel.libbpf import host_cpus
from fdscope.probes.kernel.limits import allocates_in_programs
from fdscope.probes.schema.records import STACK_ENTRIES, USER_STACK_ENTRIES, c_type
from fdscope.probes.schema.slots import OVERFLOW_ENTRIES
from fdscope.probes.schema.snapshot import LATENCY_SLOTS, LATENCY_STRIDE
from fdscope.probes.schema.taxonomy import EventCount, FdType, Loss, Mode

FILESYSTEM_ENTRIES = 256
"""Types of filesystems; a kernel has some thirty."""
CGROUP_ENTRIES = 8192
"""Cgroups of processes that ended since the map was last emptied, and their ancestors."""
RECENT_ENTRIES = 4096
"""Recent threads, processes, sockets or messages: the oldest are removed."""
PYTHON_ENTRIES = 256
"""Processes of Python of which it is known where they open descriptors."""
_FEWEST_COUNTERS = 4096
"""With room for fewer counters there are no cells: who asks for that wants a bound."""
_COUNTERS_A_CELL = 8
_MOST_STRIPES = 64
_MAPPED = 1 << 10
"""include/uapi/linux/bpf.h: BPF_F_MMAPABLE"""
RING_BYTES = 1 << 20
"""Room for events that user space has not read: more than a thousand."""
ADDRESSES = {"watching": 0x0FD5_C09E_0A7C_4100}
"""Maps whose value is loaded directly, and the numbers that stand for its address in C."""
_NO_PREALLOC = 1
"""BPF_F_NO_PREALLOC"""
CENSUS_CALLS = ("WALK", "WRITE", "LIST")
"""Programs in which the census and the list of files continue, by their place in the map."""


class Kind(Enum):
    """Kinds of BPF maps, by the names that BCC has for them."""

    HASH = "hash"
    LRU_HASH = "lru_hash"
    PERCPU_HASH = "percpu_hash"
    ARRAY = "array"
    PERCPU_ARRAY = "percpu_array"
    SPARSE_HASH = "sparse hash"
    """Its memory is allocated as entries are made, where the kernel allows that to programs."""
    STACK_TRACE = "stacktrace"
    CELLS = "cells"
    """An array that user space maps into its memory: see ``cell_bits`` and ``cell_stripes``."""
    PROGRAMS = "prog"
    """The kernel empties it when its last descriptor is closed."""
    RING = "ringbuf"
    """A ring buffer; its size is in bytes, its records are the values."""
    SCRATCH = "scratch"
    """Memory that a program leaves to those that it calls: one place on each CPU, unless another
    task can take the CPU in between: then each thread has its own."""

    @property
    def is_per_cpu(self) -> bool:
        """True if each CPU has its own value."""
        return self in (Kind.PERCPU_HASH, Kind.PERCPU_ARRAY)


class In(Enum):
    """Configurations that have a map."""

    ALL = "all"
    FUNCTIONS = "fentry and kprobe mode"
    KPROBE = "kprobe mode"
    TRACEPOINT = "tracepoint mode"
    LATENCY = "with durations"
    STACKS = "with stacks"
    SPOTLIGHT = "with watched processes"
    ORIGINS = "with the origins of descriptors"
    JOURNAL = "with the journal"
    JOURNAL_OF_FUNCTIONS = "with the journal, in fentry and kprobe mode"


@dataclass(frozen=True, slots=True)
class BpfMap:
    """One map."""

    name: str
    kind: Kind
    key: str
    """A record of ``schema.records``, or an integer type of C."""
    value: str
    """Likewise."""
    entries: int | str
    """Its size, or the field of ``Settings`` that has it."""
    where: In = In.ALL
    handed_over: bool = False
    """The session is given its descriptor: it reads the map, or keeps it open."""

    def size(self, settings: Settings) -> int:
        """Its size in entries."""
        if isinstance(self.entries, int):
            return self.entries
        size: int = getattr(settings, self.entries)
        return size

    def is_in(self, mode: Mode, settings: Settings) -> bool:
        """True if the configuration has the map."""
        return {
            In.ALL: True,
            In.FUNCTIONS: mode is not Mode.TRACEPOINT,
            In.KPROBE: mode is Mode.KPROBE,
            In.TRACEPOINT: mode is Mode.TRACEPOINT,
            In.LATENCY: settings.latency,
            In.STACKS: bool(settings.stacks_every),
            In.SPOTLIGHT: settings.spotlight,
            In.ORIGINS: settings.spotlight and settings.origins,
            In.JOURNAL: settings.journal,
            In.JOURNAL_OF_FUNCTIONS: settings.journal and mode is not Mode.TRACEPOINT,
        }[self.where]

    def declaration(self, settings: Settings, preempted: bool, has_cells: bool) -> str:
        """The line of C that declares it. ``preempted``: tasks can lose the CPU in a program.

        ``has_cells``: the kernel has what the programs need to use cells.
        """
        kind, entries = self.kind, self.size(settings)
        if kind is Kind.CELLS:
            entries = cell_stripes() << cell_bits(settings) if has_cells else 1
            return (
                f'BPF_F_TABLE("array", {c_type(self.key)}, {c_type(self.value)}, {self.name},'
                f" {entries}, {_MAPPED});\n"
            )
        if kind is Kind.SCRATCH:
            kind = Kind.LRU_HASH if preempted else Kind.PERCPU_ARRAY
            entries = RECENT_ENTRIES if preempted else 1
        if kind is Kind.RING:
            return f"BPF_RINGBUF_OUTPUT({self.name}, {entries} / PAGE_SIZE);\n"
        if kind is Kind.SPARSE_HASH:
            flags = _NO_PREALLOC if allocates_in_programs() else 0
            types = f"{c_type(self.key)}, {c_type(self.value)}"
            return f'BPF_F_TABLE("hash", {types}, {self.name}, {entries}, {flags});\n'
        types = f"{c_type(self.key)}, {c_type(self.value)}"
        return f'BPF_TABLE("{kind.value}", {types}, {self.name}, {entries});\n'


def cell_bits(settings: Settings) -> int:
    """Two to the power of this is the number of cells of a stripe; 0 for no cells."""
    if settings.counter_entries < _FEWEST_COUNTERS:
        return 0
    return (settings.counter_entries // _COUNTERS_A_CELL).bit_length() - 1


def cell_stripes() -> int:
    """Parts of the cells, a power of two: one for each possible CPU, if these are not too many."""
    return min(1 << (host_cpus() - 1).bit_length(), _MOST_STRIPES)


# fmt: off
MAPS = (
    # The accounts:

    BpfMap("counters", Kind.PERCPU_HASH, "counter_key", "amount", "counter_entries",
           handed_over=True),
    # Those that were there first, found at once; the size is not in the table.
    BpfMap("cells", Kind.CELLS, "u32", "cell", 1, handed_over=True),
    BpfMap("processes", Kind.HASH, "process_key", "process", "process_entries", handed_over=True),
    # What had no room in `counters`, for the whole host.
    # Not one for each CPU: it is large, rarely added to, and read at each scrape.
    BpfMap("overflow", Kind.ARRAY, "u32", "amount", OVERFLOW_ENTRIES, handed_over=True),
    BpfMap("losses", Kind.PERCPU_ARRAY, "u32", "u64", len(Loss), handed_over=True),
    # Bytes by type of filesystem, and the names of the types by their address.
    BpfMap("filesystem_bytes", Kind.PERCPU_HASH, "filesystem_key", "u64", 4 * FILESYSTEM_ENTRIES,
           handed_over=True),
    BpfMap("filesystems", Kind.HASH, "u64", "filesystem", FILESYSTEM_ENTRIES, handed_over=True),
    BpfMap("latency", Kind.PERCPU_ARRAY, "u32", "u64", LATENCY_SLOTS, In.LATENCY, handed_over=True),

    # The cgroups of processes:

    # Of processes that ended; and the answer about a living process.
    BpfMap("cgroups", Kind.HASH, "u64", "cgroup_name", CGROUP_ENTRIES, handed_over=True),
    BpfMap("cgroup_chain", Kind.ARRAY, "u32", "cgroup_chain", 1, handed_over=True),

    # Calls in flight:

    # The files of a thread's call, found on entry; kept until the thread ends.
    BpfMap("pending", Kind.HASH, "u32", "pending", "pending_entries"),
    # Arguments of a function, by thread, until its return.
    BpfMap("calls", Kind.HASH, "call_key", "call", "pending_entries", In.KPROBE),
    # Bytes of sendfile and splice that are counted at the socket layer only, and how many calls.
    BpfMap("transfers", Kind.HASH, "u32", "transfer", "pending_entries", handed_over=True),
    BpfMap("transfer_count", Kind.ARRAY, "u32", "u64", 1),
    # Operations by their struct kiocb; in tracepoint mode by their control block in user memory.
    BpfMap("aio_operations", Kind.HASH, "u64", "aio", "pending_entries", In.FUNCTIONS),
    BpfMap("aio_submissions", Kind.LRU_HASH, "aio_key", "aio", "pending_entries", In.TRACEPOINT),
    # When a thread began to wait for a fanotify permission group; and the durations.
    BpfMap("fanotify_starts", Kind.LRU_HASH, "u32", "u64", RECENT_ENTRIES, In.FUNCTIONS),
    BpfMap("fanotify_waits", Kind.PERCPU_ARRAY, "u32", "u64", LATENCY_STRIDE, In.FUNCTIONS,
           handed_over=True),

    # System calls:

    # What system calls do with descriptors, by slot: see `hooks.syscalls`.
    # Before that: how calls of a number are followed, if at all.
    BpfMap("followed", Kind.ARRAY, "u32", "u8", COMPAT_SLOTS, In.TRACEPOINT),
    BpfMap("syscalls", Kind.ARRAY, "u32", "syscall", SLOTS, In.TRACEPOINT),
    BpfMap("fd_calls", Kind.ARRAY, "u32", "fd_call", SLOTS, In.FUNCTIONS),
    # Programs that others call, and how far they have come.
    BpfMap("tail_calls", Kind.PROGRAMS, "u32", "u32", len(TailCall), handed_over=True),
    BpfMap("progress", Kind.SCRATCH, "u32", "progress", 1, In.TRACEPOINT),

    # Descriptors:

    # Opened, then closed descriptors of the whole host, by fd type: the census is compared with it.
    BpfMap("fd_flow", Kind.PERCPU_ARRAY, "u32", "u64", 2 * len(FdType), handed_over=True),
    # Sockets of connect() calls that did not wait: counted when they begin.
    BpfMap("connecting", Kind.LRU_HASH, "socket_key", "u32", RECENT_ENTRIES),
    # Descriptors of a message that is being sent, by the address of its struct msghdr.
    BpfMap("fds_in_message", Kind.LRU_HASH, "u64", "fd_counts", RECENT_ENTRIES, In.FUNCTIONS),
    # How far the control messages of a call have been read.
    BpfMap("control_walks", Kind.SCRATCH, "u32", "control_walk", 1, In.TRACEPOINT),
    # Walks over tables of descriptors, and how many of them a further program must continue.
    BpfMap("fd_walks", Kind.SCRATCH, "u32", "fd_walk", 1),
    BpfMap("unfinished_walks", Kind.ARRAY, "u32", "u64", 1),
    # Of threads that end at once, one counts the descriptors of the process.
    BpfMap("ended_processes", Kind.LRU_HASH, "process_key", "u32", RECENT_ENTRIES),
    # Descriptors that are closed if the exec succeeds, by the thread that called it.
    BpfMap("exec_fds", Kind.LRU_HASH, "u32", "fd_counts", RECENT_ENTRIES, In.TRACEPOINT),
    # The answer of the census, its own walk and its own programs.
    BpfMap("census", Kind.ARRAY, "u32", "census", 1, handed_over=True),
    BpfMap("census_walks", Kind.ARRAY, "u32", "fd_walk", 1),
    BpfMap("census_calls", Kind.PROGRAMS, "u32", "u32", len(CENSUS_CALLS), handed_over=True),

    # The answer about the functions of a file.
    BpfMap("operations", Kind.ARRAY, "u32", "operations", 1, handed_over=True),

    # The journal:

    BpfMap("events", Kind.RING, "u32", "event", RING_BYTES, In.JOURNAL, handed_over=True),
    BpfMap("event_counts", Kind.PERCPU_ARRAY, "u32", "u64", len(EventCount), In.JOURNAL,
           handed_over=True),
    # Events of a process, or of a cgroup, in this second; and how many more there were.
    BpfMap("event_limits", Kind.LRU_HASH, "event_limit_key", "event_limit", RECENT_ENTRIES,
           In.JOURNAL, handed_over=True),
    # Names of processes, and what they did that is told once.
    BpfMap("event_names", Kind.LRU_HASH, "event_name", "u32", RECENT_ENTRIES, In.JOURNAL),
    # Who passed a file on, by the file.
    BpfMap("event_givers", Kind.LRU_HASH, "u64", "event_process", RECENT_ENTRIES,
           In.JOURNAL_OF_FUNCTIONS),
    # Watched processes and their files:

    # The leases in use, as bits: its value is loaded directly, see `ADDRESSES`.
    BpfMap("watching", Kind.ARRAY, "u32", "u64", 1, In.SPOTLIGHT, handed_over=True),
    BpfMap("watched", Kind.SPARSE_HASH, "process_key", "watch", "watched_processes",
           In.SPOTLIGHT, handed_over=True),
    BpfMap("watched_processes", Kind.SPARSE_HASH, "process_key", "watched_process",
           "watched_processes", In.SPOTLIGHT, handed_over=True),
    BpfMap("held_files", Kind.SPARSE_HASH, "held_key", "held", "watched_files",
           In.SPOTLIGHT, handed_over=True),
    BpfMap("watched_files", Kind.SPARSE_HASH, "file_id", "watched_file", "watched_files",
           In.SPOTLIGHT, handed_over=True),
    BpfMap("file_amounts", Kind.SPARSE_HASH, "operation_key", "file_amount", "watched_files",
           In.SPOTLIGHT, handed_over=True),
    BpfMap("file_names", Kind.SPARSE_HASH, "name_key", "name_part", "watched_files",
           In.SPOTLIGHT, handed_over=True),
    # The answers about a process and about a descriptor.
    BpfMap("file_lists", Kind.ARRAY, "u32", "file_list", 1, In.SPOTLIGHT, handed_over=True),
    BpfMap("list_walks", Kind.ARRAY, "u32", "fd_walk", 1, In.SPOTLIGHT),
    BpfMap("path_texts", Kind.ARRAY, "u32", "path_text", 1, In.SPOTLIGHT, handed_over=True),
    BpfMap("path_walks", Kind.SCRATCH, "u32", "path_walk", 1, In.SPOTLIGHT),
    # Zeros, for what is too large for a program's stack.
    BpfMap("no_file", Kind.ARRAY, "u32", "watched_file", 1, In.SPOTLIGHT),
    BpfMap("no_name", Kind.ARRAY, "u32", "name_part", 1, In.SPOTLIGHT),

    # Where watched processes open descriptors:

    BpfMap("origins", Kind.SPARSE_HASH, "origin_key", "origin", "origin_entries", In.ORIGINS,
           handed_over=True),
    BpfMap("opened_fds", Kind.SPARSE_HASH, "opened_fd_key", "opened_fd", "opened_fds",
           In.ORIGINS, handed_over=True),
    BpfMap("user_stacks", Kind.STACK_TRACE, "int", "user_stack", USER_STACK_ENTRIES, In.ORIGINS,
           handed_over=True),
    BpfMap("pythons", Kind.HASH, "process_key", "python", PYTHON_ENTRIES, In.ORIGINS,
           handed_over=True),
    BpfMap("no_origin", Kind.ARRAY, "u32", "origin", 1, In.ORIGINS),

    # Sampled stacks:

    BpfMap("stacks", Kind.STACK_TRACE, "int", "stack", STACK_ENTRIES, In.STACKS, handed_over=True),
    BpfMap("stack_samples", Kind.HASH, "stack_key", "u64", STACK_ENTRIES, In.STACKS,
           handed_over=True),
    # Operations since the last sample.
    BpfMap("stack_turns", Kind.PERCPU_ARRAY, "u32", "u64", 1, In.STACKS),
)
# fmt: on


def declared(mode: Mode, settings: Settings) -> list[BpfMap]:
    """The maps that a configuration has."""
    return [each for each in MAPS if each.is_in(mode, settings)]


def declarations(mode: Mode, settings: Settings, preempted: bool, has_cells: bool) -> str:
    """The C text that declares them, each on a line; the flags as for ``declaration``."""
    return "".join(
        each.declaration(settings, preempted, has_cells) for each in declared(mode, settings)
    )


def handed_over(mode: Mode, settings: Settings) -> list[BpfMap]:
    """The maps whose descriptors the session is given."""
    return [each for each in declared(mode, settings) if each.handed_over]
