# SPDX-License-Identifier: GPL-2.0-only
"""The layout of every map key and value, written once: for C as structs, for Python as dtypes."""

from typing import Any

import numpy as np

from fdscope.probes.schema.taxonomy import FdType

COMM_BYTES = 16
CGROUP_NAME_BYTES = 256
"""NAME_MAX and a NUL: no name is cut."""
CGROUPS_A_CALL = 32
"""A cgroup and its ancestors: as many as one run of a program reads."""
FILESYSTEM_NAME_BYTES = 32
QUEUES = 16
"""Room for the fd types that have queues, from FIFO on; a power of 2."""
UNNAMED_FILESYSTEMS = 4
TCP_STATES = 16
"""Room for each state of a TCP socket; a power of 2, to keep what is read within it."""
EVENT_PARENTS = 8
PATH_NAMES = 8
PATH_NAME_BYTES = 32
"""A path in an event: its last names, the last one first, each in as many bytes."""
COMMAND_BYTES = 256
"""How much of a command line an event has."""
RECEIVED_FDS = 16
"""Descriptors of one call that events can be about, in tracepoint mode."""
UNIX_NAME_BYTES = 108
"""Of a unix socket's address: sun_path."""
NAME_PART_BYTES = 512
"""A component has up to NAME_MAX bytes and a NUL: 256."""
PATH_TEXT_BYTES = 16384
LIST_ENTRIES = 512
"""Descriptors that one run of a program lists."""
NAME_PARTS = 20
"""Parts of a file's name: so many times 256 bytes hold any path that can be opened at once."""
STACK_DEPTH = 32
USER_STACK_DEPTH = 64
USER_STACK_ENTRIES = 1024
"""Room for distinct stacks of watched processes; a power of 2 too."""
SAMPLE_PARTS, SAMPLE_PART_BYTES = 16, 512
"""The top of a stack in user memory: parts that are read one after the other."""
PYTHON_FRAMES, PYTHON_THREADS = 16, 64
"""Frames of a thread of Python that are read, and threads among which it is found."""
NO_FIELD = 0xFFFF
STACK_ENTRIES = 8192
"""Room for distinct stacks; a power of 2, as the kernel wants it."""
NO_STACK = 0xFFFFFFFF
"""The kernel could not keep the stack: another one has its place."""

_TYPES = {"u8": "u1", "u16": "<u2", "int": "<i4", "s32": "<i4", "u32": "<u4", "u64": "<u8"}
_COUNTS = (f"count[{len(FdType)}]", "u32")

RECORDS: dict[str, list[tuple[str, str]]] = {
    # key and value of `counters`; `via` is a door at the file layer, a scope at the socket layer
    "counter_key": [
        ("tgid", "u32"),
        ("start", "u32"),
        ("account", "u8"),
        ("fd_type", "u8"),
        ("via", "u8"),
        ("error", "u8"),
    ],
    "amount": [("operations", "u64"), ("bytes", "u64")],
    # value of `cells`: a counter of one CPU; `owner`: a process_key, `code`: see `slots`, and a bit
    # above it where the cell is used; `filesystem`: as in target
    "cell": [
        ("owner", "u64"),
        ("code", "u64"),
        ("filesystem", "u64"),
        ("operations", "u64"),
        ("bytes", "u64"),
        ("unused[3]", "u64"),
    ],
    # key and value of `processes`
    "process_key": [("tgid", "u32"), ("start", "u32")],
    "process": [("cgroup_id", "u64"), ("exited", "u64"), (f"comm[{COMM_BYTES}]", "char")],
    # value of `cgroups`, whose key is the id; the root has no parent (0) and no name
    "cgroup_name": [("id", "u64"), ("parent", "u64"), (f"name[{CGROUP_NAME_BYTES}]", "char")],
    # value of `cgroup_chain`: a cgroup and ancestors; `next`: where to continue, 0 at the root
    "cgroup_chain": [
        ("next", "u64"),
        ("count", "u64"),
        (f"cgroup[{CGROUPS_A_CALL}]", "struct cgroup_name"),
    ],
    # what an operation works on; `filesystem`: address of its struct file_system_type, or 0;
    # `file` and `inode`: addresses too, 0 if not known
    "target": [
        ("filesystem", "u64"),
        ("fd_type", "u32"),
        ("unused", "u32"),
        ("file", "u64"),
        ("inode", "u64"),
    ],
    # key of `filesystem_bytes`; value of `filesystems`, whose key is `type`
    "filesystem_key": [("type", "u64"), ("fd_type", "u32"), ("account", "u32")],
    "filesystem": [(f"name[{FILESYSTEM_NAME_BYTES}]", "char")],
    # value of `operations`: addresses of functions, 0 where there is none
    "operations": [
        ("file_write", "u64"),
        ("family_send", "u64"),
        ("protocol_send", "u64"),
        ("fd_type", "u64"),
        (f"filesystem[{FILESYSTEM_NAME_BYTES}]", "char"),
    ],
    # value of `stacks`, innermost first; key of `stack_samples`
    "stack": [(f"address[{STACK_DEPTH}]", "u64")],
    "stack_key": [("stack", "u32"), ("fd_type", "u32"), ("account", "u32")],
    # value of `pending`: what is behind the two descriptors, found on entry
    "pending": [("target[2]", "struct target"), ("started", "u64"), ("call", "u64")],
    # value of `transfers`: what a call in flight has sent to a socket
    "transfer": [("bytes", "u64"), ("fd_type", "u64")],
    # key and value of `calls`: first arguments of a function that will return
    "call_key": [("tid", "u32"), ("function", "u32")],
    "call": [("arg[4]", "u64")],
    # value of `progress`: how far a chain of tail calls has come
    "progress": [("bytes", "u64"), ("position", "u64")],
    # key of `aio_submissions`, value of it and of `aio_operations`
    "aio_key": [("iocb", "u64"), ("tgid", "u64")],
    "aio": [("owner", "struct process_key"), ("target", "struct target"), ("account", "u64")],
    # value of `syscalls`: which arguments of the call are descriptors or flags
    "syscall": [
        ("least", "s32"),
        ("birth", "u32"),
        ("known", "u8"),
        ("door", "u8"),
        ("read_account", "u8"),
        ("read_argument", "u8"),
        ("write_argument", "u8"),
        ("flags_argument", "u8"),
        ("bytes_argument", "u8"),
        ("tail_call", "u8"),
        ("one_way", "u8"),
        ("when", "u8"),
        ("ends_argument", "u8"),
        ("on_entry", "u8"),
    ],
    # key of `connecting`: a socket's file, and its inode number: file addresses are reused
    "socket_key": [("file", "u64"), ("inode", "u64")],
    # value of `fd_calls`: what a system call means for descriptors that are opened or closed in it
    "fd_call": [("birth", "u32"), ("cause", "u32")],
    # value of `fd_walks` and `census_walks`: how far a walk over a table of descriptors has come
    "fd_walk": [
        ("fds", "u64"),
        ("open_fds", "u64"),
        ("close_on_exec", "u64"),
        ("task", "u64"),
        ("owner", "struct process_key"),
        ("position", "u32"),
        ("end", "u32"),
        ("purpose", "u32"),
        ("account", "u32"),
        ("via", "u32"),
        ("calls", "u32"),
        ("fd_type", "u32"),
        ("permission_groups", "u32"),
        ("unfinished", "u32"),
        ("word", "u64"),
        ("word_of", "u32"),
        _COUNTS,
    ],
    # value of `exec_fds`
    "fd_counts": [_COUNTS],
    # value of `control_walks`
    "control_walk": [
        ("header", "u64"),
        ("control", "u64"),
        ("control_end", "u64"),
        ("fds", "u64"),
        ("fds_end", "u64"),
        ("messages", "u32"),
        ("sent", "u32"),
        ("received_count", "u32"),
        (f"received[{RECEIVED_FDS}]", "u32"),
    ],
    # in the ring buffer `events`: a process, its parents, and an event of the journal
    "event_process": [
        ("cgroup_id", "u64"),
        ("start", "u64"),
        ("tgid", "u32"),
        ("uid", "u32"),
        (f"comm[{COMM_BYTES}]", "char"),
    ],
    "event_parent": [("tgid", "u32"), (f"comm[{COMM_BYTES}]", "char")],
    "event": [
        ("time", "u64"),
        ("inode", "u64"),
        ("process", "struct event_process"),
        ("other", "struct event_process"),
        ("command_bytes", "u64"),
        (f"parents[{EVENT_PARENTS}]", "struct event_parent"),
        ("kind", "u32"),
        ("tid", "u32"),
        ("fd", "u32"),
        ("fd_type", "u32"),
        ("birth", "u32"),
        ("method", "u32"),
        ("error", "u32"),
        ("device", "u32"),
        ("rdev", "u32"),
        ("file_mode", "u32"),
        ("family", "u32"),
        ("protocol", "u32"),
        ("scope", "u32"),
        ("local_port", "u32"),
        ("remote_port", "u32"),
        ("state", "u8"),
        ("unused[3]", "u8"),
        ("local[16]", "u8"),
        ("remote[16]", "u8"),
        ("terminal[16]", "char"),
        ("name[64]", "char"),
        (f"program[{PATH_NAMES * PATH_NAME_BYTES}]", "char"),
        ("program_names", "u32"),
        ("program_is_cut", "u32"),
        (f"command[{COMMAND_BYTES}]", "char"),
    ],
    # key and value of `event_limits`; `tgid` is 0 for all processes of the cgroup
    "event_limit_key": [("cgroup_id", "u64"), ("tgid", "u32"), ("kind", "u32")],
    "event_limit": [("left_out", "u64"), ("second", "u32"), ("made", "u32")],
    # key of `event_names`: a name of processes, what it did, and in which cgroup or to which socket
    "event_name": [
        ("place", "u64"),
        ("what", "u64"),
        (f"comm[{COMM_BYTES}]", "char"),
    ],
    # value of `watched`: the leases that watch the process, and those that follow its children
    "watch": [
        ("watchers", "u64"),
        ("followers", "u64"),
        # leases that want to know where descriptors are opened; and whether the stack's depth tells
        ("origins", "u64"),
        ("by_depth", "u64"),
    ],
    # value of `watched_processes`: times are of the monotonic clock, 0 for not yet
    "watched_process": [
        ("parent", "struct process_key"),
        ("born", "u64"),
        ("execed", "u64"),
        ("ended", "u64"),
        ("lost", "struct amount"),
        # opened descriptors that have no room among the origins
        ("without_origin", "u64"),
        (f"comm[{COMM_BYTES}]", "char"),
    ],
    # key and value of `origins`: openings by one stack, and a sample of it; `place`: a hash over
    # the frames of Python; `saved`: of x86, the registers rbx and r12 to r15; `link`: of arm64
    "origin_key": [
        ("owner", "struct process_key"),
        ("stack_pointer", "u64"),
        ("place", "u64"),
        ("stack", "u32"),
        ("fd_type", "u8"),
        ("birth", "u8"),
        ("unused", "u16"),
    ],
    "origin": [
        ("opened", "u64"),
        ("instruction", "u64"),
        ("stack_pointer", "u64"),
        ("frame", "u64"),
        ("link", "u64"),
        ("saved[5]", "u64"),
        ("parts", "u32"),
        ("python_frames", "u32"),
        (f"python[{2 * PYTHON_FRAMES}]", "u64"),
        (f"sample[{SAMPLE_PARTS * SAMPLE_PART_BYTES}]", "u8"),
    ],
    # key and value of `opened_fds`: a descriptor as it was last opened
    "opened_fd_key": [("owner", "struct process_key"), ("fd", "u32"), ("unused", "u32")],
    "opened_fd": [("file", "u64"), ("at", "u64"), ("origin", "struct origin_key")],
    # value of `pythons`: an interpreter of Python, and where the fields of its structs are;
    # `inner`: NO_FIELD where the thread has the frame itself
    "python": [
        ("threads", "u64"),
        ("namespace_device", "u64"),
        ("namespace_inode", "u64"),
        ("next", "u16"),
        ("number", "u16"),
        ("frame", "u16"),
        ("inner", "u16"),
        ("previous", "u16"),
        ("code", "u16"),
        ("instruction", "u16"),
        ("unused", "u16"),
    ],
    # value of `user_stacks`, innermost first
    "user_stack": [(f"address[{USER_STACK_DEPTH}]", "u64")],
    # key and value of `held_files`: the file that a process holds at this address now
    "held_key": [("file", "u64"), ("owner", "struct process_key")],
    "held": [("born", "u64"), ("inode", "u64")],
    # key of `watched_files`
    "file_id": [("file", "u64"), ("born", "u64"), ("owner", "struct process_key")],
    # where a file is: the device of its filesystem, and of a device file its own
    "place": [
        ("inode", "u64"),
        ("device", "u32"),
        ("device_number", "u32"),
        (f"filesystem[{FILESYSTEM_NAME_BYTES}]", "char"),
    ],
    # the two ends of a socket; `name`: of a unix socket, without the NUL that other names end with
    "addresses": [
        ("local[4]", "u32"),
        ("remote[4]", "u32"),
        ("peer", "u64"),
        ("interface", "u32"),
        ("local_port", "u16"),
        ("remote_port", "u16"),
        ("family", "u16"),
        ("protocol", "u16"),
        ("state", "u8"),
        ("name_is_peers", "u8"),
        ("name_length", "u16"),
        (f"name[{UNIX_NAME_BYTES}]", "char"),
    ],
    # value of `watched_files`
    "watched_file": [
        ("place", "struct place"),
        ("position", "u64"),
        ("last_used", "u64"),
        ("closed_at", "u64"),
        ("flags", "u32"),
        ("fd", "u32"),
        ("opens", "u32"),
        ("closes", "u32"),
        ("fd_type", "u8"),
        ("birth", "u8"),
        ("birth_seen", "u8"),
        ("cause", "u8"),
        ("named", "u8"),
        ("unused[3]", "u8"),
        ("addresses", "struct addresses"),
    ],
    # key and value of `file_amounts`
    "operation_key": [
        ("id", "struct file_id"),
        ("account", "u8"),
        ("door", "u8"),
        ("error", "u8"),
        ("unused", "u8"),
        ("unused_too", "u32"),
    ],
    "file_amount": [("amount", "struct amount"), ("nanoseconds", "u64")],
    # key and value of `file_names`: components, innermost first, with a NUL behind each
    "name_key": [("file", "u64"), ("born", "u64"), ("tgid", "u32"), ("part", "u32")],
    # value of `path_walks`: how far a path has been read, outward
    "path_walk": [
        ("key", "struct name_key"),
        ("dentry", "u64"),
        ("mount", "u64"),
        ("used", "u32"),
        ("state", "u32"),
    ],
    # value of `path_texts`, the answer about one descriptor: as in `file_names`
    "path_text": [
        ("walk", "struct path_walk"),
        ("length", "u64"),
        (f"text[{PATH_TEXT_BYTES}]", "u8"),
    ],
    # value of `file_lists`: descriptors of one process, from a position on
    "open_file": [
        ("file", "u64"),
        ("place", "struct place"),
        ("position", "u64"),
        ("flags", "u32"),
        ("fd", "u32"),
        ("receive_queue", "u32"),
        ("send_queue", "u32"),
        ("fd_type", "u8"),
        ("deleted", "u8"),
        ("queues_known", "u8"),
        ("unused[5]", "u8"),
        ("addresses", "struct addresses"),
    ],
    "file_list": [
        ("owner", "struct process_key"),
        ("process", "struct process"),
        ("position", "u32"),
        ("end", "u32"),
        ("count", "u32"),
        ("unused", "u32"),
        (f"entry[{LIST_ENTRIES}]", "struct open_file"),
    ],
    "name_part": [(f"text[{NAME_PART_BYTES}]", "char")],
    # in `census`: what waits in the queues of all descriptors of a type, and the fullest ones
    "queue": [
        ("received", "u64"),
        ("sent", "u64"),
        ("most_received", "u32"),
        ("most_sent", "u32"),
    ],
    # in `census`: files without a name of one filesystem, and their blocks of 512 bytes
    "unnamed": [("device", "u32"), ("files", "u32"), ("blocks", "u64")],
    # value of `census`: the descriptors of one process from a position on
    "census": [
        ("owner", "struct process_key"),
        ("process", "struct process"),
        ("limit", "u64"),
        ("position", "u32"),
        ("end", "u32"),
        ("permission_groups", "u32"),
        ("stdio[3]", "u32"),
        # TCP sockets by state, and what waits at those that listen; the fullest of their queues
        (f"tcp[{TCP_STATES}]", "u32"),
        ("waiting", "u64"),
        ("handshakes", "u64"),
        ("drops", "u64"),
        ("fullest_waiting", "u32"),
        ("fullest_most", "u32"),
        # 1 if any of the following is not 0
        ("holds", "u32"),
        # by fd type, from FIFO on
        (f"queue[{QUEUES}]", "struct queue"),
        # the last place is for all further filesystems
        (f"unnamed[{UNNAMED_FILESYSTEMS}]", "struct unnamed"),
        ("memfd_blocks", "u64"),
        _COUNTS,
    ],
}


def _c_struct(name: str) -> str:
    fields = "".join(f"\t{of} {field};\n" for field, of in RECORDS[name])
    layout = dtype(name)
    sizes = f'_Static_assert(sizeof(struct {name}) == {layout.itemsize}, "{name}");\n'
    offsets = "".join(
        f'_Static_assert(__builtin_offsetof(struct {name}, {field}) == {place[1]}, "{field}");\n'
        for field, place in (layout.fields or {}).items()
    )
    return f"struct {name} {{\n{fields}}};\n{sizes}{offsets}"


def c_structs() -> str:
    """C declarations of all records; the compiler checks sizes and offsets against Python's."""
    return "\n".join(map(_c_struct, RECORDS))


def c_type(name: str) -> str:
    """The C type of a record or integer type, e.g. ``struct amount`` or ``u64``."""
    return f"struct {name}" if name in RECORDS else name


def dtype(name: str) -> "np.dtype[Any]":
    """Numpy type of a record or integer type, laid out as the C compiler does."""
    if name not in RECORDS:
        return np.dtype(_TYPES[name])
    fields: list[tuple[Any, ...]] = []
    for field, of in RECORDS[name]:
        base, _, length = field.rstrip("]").partition("[")
        if of == "char":
            fields.append((base, f"S{length}"))
            continue
        kind = dtype(of.removeprefix("struct "))
        fields.append((base, kind, int(length)) if length else (base, kind))
    return np.dtype(fields, align=True)
