# SPDX-License-Identifier: GPL-2.0-only
"""The layout of every map key and value, written once: for C as structs, for Python as dtypes."""

from typing import Any

import numpy as np

COMM_BYTES = 16

_TYPES = {"u8": "u1", "u32": "<u4", "u64": "<u8"}

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
    # key and value of `processes`
    "process_key": [("tgid", "u32"), ("start", "u32")],
    "process": [("cgroup_id", "u64"), ("exited", "u64"), (f"comm[{COMM_BYTES}]", "char")],
    # value of `pending`: the fd types of the two descriptors, found on entry
    "pending": [("call", "u32"), ("fd_type[2]", "u32"), ("started", "u64")],
    # key and value of `calls`: first arguments of a function that will return
    "call_key": [("tid", "u32"), ("function", "u32")],
    "call": [("arg[4]", "u64")],
    # value of `progress`: how far a tail call has come
    "progress": [("bytes", "u64"), ("position", "u64")],
    # value of `aio_operations`
    "aio": [("owner", "struct process_key"), ("account", "u32"), ("fd_type", "u32")],
    # value of `syscalls`: which arguments of the call are descriptors or flags
    "syscall": [
        ("known", "u8"),
        ("door", "u8"),
        ("read_account", "u8"),
        ("read_argument", "u8"),
        ("write_argument", "u8"),
        ("flags_argument", "u8"),
        ("tail_call", "u8"),
        ("one_way", "u8"),
    ],
}


def c_structs() -> str:
    """C declarations of all records."""
    return "\n".join(
        f"struct {name} {{\n" + "".join(f"\t{c_type} {field};\n" for field, c_type in fields) + "};"
        for name, fields in RECORDS.items()
    )


def dtype(name: str) -> np.dtype[np.void]:
    """Numpy type of a record, laid out as the C compiler does (natural alignment)."""
    fields: list[tuple[Any, ...]] = []
    for field, c_type in RECORDS[name]:
        base, _, length = field.rstrip("]").partition("[")
        if c_type == "char":
            fields.append((base, f"S{length}"))
        else:
            fields.append((base, _TYPES[c_type], int(length)) if length else (base, _TYPES[c_type]))
    return np.dtype(fields, align=True)
