# SPDX-License-Identifier: GPL-2.0-only
"""The running kernel's own description of its types (BTF): field offsets, functions, typedefs.

Format: Documentation/bpf/btf.rst of the kernel.
"""

import struct
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

VMLINUX = Path("/sys/kernel/btf/vmlinux")

_MAGIC = 0xEB9F
_HEADER = struct.Struct("<HBBIIIII")
_TYPE = struct.Struct("<III")
_MEMBER = struct.Struct("<III")

_ARRAY, _STRUCT, _UNION, _TYPEDEF, _FUNC, _FUNC_PROTO = 3, 4, 5, 8, 12, 13
_MODIFIERS = (_TYPEDEF, 9, 10, 11, 18)  # typedef, volatile, const, restrict, type tag

# Bytes that follow a type, by kind: (once, per vlen).
_TAIL = {
    1: (4, 0),  # int
    _ARRAY: (12, 0),
    _STRUCT: (0, 12),
    _UNION: (0, 12),
    6: (0, 8),  # enum
    _FUNC_PROTO: (0, 8),
    14: (4, 0),  # variable
    15: (0, 12),  # data section
    17: (4, 0),  # declaration tag
    19: (0, 12),  # enum64
}


class BtfError(Exception):
    """The kernel's BTF is absent or is not what the format says."""


class Btf:
    """An index over one BTF blob.

    ``read()`` takes about 0.3 s for the 130 000 types of a distribution kernel.
    """

    def __init__(self, blob: bytes) -> None:
        if len(blob) < _HEADER.size:
            raise BtfError("BTF is truncated")
        magic, _, _, header, types, types_len, strings, strings_len = _HEADER.unpack_from(blob)
        if magic != _MAGIC:
            raise BtfError(f"BTF has magic {magic:#06x}, not {_MAGIC:#06x}")
        self._blob = blob
        self._strings = header + strings
        self._end = header + types + types_len
        self._offsets: list[int] = [0]
        self._structs: dict[str, int] = {}
        self._functions: dict[str, int] = {}
        self._typedefs: dict[str, int] = {}
        if len(blob) < self._strings + strings_len:
            raise BtfError("BTF is truncated")
        try:
            self._index(header + types)
        except (struct.error, ValueError, IndexError) as error:
            raise BtfError(f"BTF is not what its format says: {error}") from error

    @classmethod
    def read(cls, path: Path = VMLINUX) -> "Btf":
        """The BTF of the running kernel; BtfError where it has none."""
        try:
            return cls(path.read_bytes())
        except OSError as error:
            raise BtfError(f"{path}: {error.strerror}") from error
        except BtfError as error:
            raise BtfError(f"{path}: {error}") from error

    def _index(self, at: int) -> None:
        unpack, offsets = _TYPE.unpack_from, self._offsets
        while at < self._end:
            offsets.append(at)
            name, info, target = unpack(self._blob, at)
            kind = info >> 24 & 0x1F
            if kind in (_STRUCT, _UNION) and name:
                self._structs.setdefault(self._string(name), at)
            elif kind == _FUNC:
                self._functions[self._string(name)] = at
            elif kind == _TYPEDEF:
                self._typedefs[self._string(name)] = target
            once, each = _TAIL.get(kind, (0, 0))
            at += _TYPE.size + once + each * (info & 0xFFFF)

    def _string(self, offset: int) -> str:
        start = self._strings + offset
        return self._blob[start : self._blob.index(b"\0", start)].decode()

    def _members(self, at: int) -> Iterator[tuple[str, int, int]]:
        """(name, type id, offset in bits) of each member of the struct or union."""
        _, info, _ = _TYPE.unpack_from(self._blob, at)
        for number in range(info & 0xFFFF):
            name, type_id, offset = _MEMBER.unpack_from(
                self._blob, at + _TYPE.size + number * _MEMBER.size
            )
            bits = offset & 0xFFFFFF if info >> 31 else offset
            yield self._string(name), type_id, bits

    def _resolve(self, type_id: int) -> tuple[int, int]:
        """(position, kind) of a type without typedefs and qualifiers."""
        while True:
            at = self._offsets[type_id]
            _, info, target = _TYPE.unpack_from(self._blob, at)
            kind = info >> 24 & 0x1F
            if kind not in _MODIFIERS:
                return at, kind
            type_id = target

    def _find(self, at: int, field: str) -> int | None:
        """Offset in bits of a field, also inside anonymous structs and unions."""
        for name, type_id, bits in self._members(at):
            if name == field:
                return bits
            if not name:
                inner_at, kind = self._resolve(type_id)
                inner = self._find(inner_at, field) if kind in (_STRUCT, _UNION) else None
                if inner is not None:
                    return bits + inner
        return None

    def offset(self, struct_name: str, field: str) -> int | None:
        """Offset of a field in bytes; None where this kernel's struct has no such field."""
        bits = self.bit_offset(struct_name, field)
        return None if bits is None else bits // 8

    def bit_offset(self, struct_name: str, field: str) -> int | None:
        """Like ``offset``, in bits, for members that are a part of a byte."""
        at = self._structs.get(struct_name)
        return None if at is None else self._find(at, field)

    def struct_id(self, name: str) -> int | None:
        """Number of a struct's type; None if there is no such struct."""
        at = self._structs.get(name)
        return None if at is None else bisect_left(self._offsets, at)

    def has_function(self, name: str) -> bool:
        """True if the kernel has a function of that name (be it traceable or not)."""
        return name in self._functions

    def function_id(self, name: str) -> int | None:
        """Number of a function's type; None if there is no such function."""
        at = self._functions.get(name)
        return None if at is None else bisect_left(self._offsets, at)

    def arity(self, function: str) -> int | None:
        """Number of a function's parameters; None if there is no such function."""
        at = self._functions.get(function)
        if at is None:
            return None
        proto = self._offsets[_TYPE.unpack_from(self._blob, at)[2]]
        return int(_TYPE.unpack_from(self._blob, proto)[1]) & 0xFFFF

    def tracepoint_arity(self, name: str) -> int | None:
        """Number of a raw tracepoint's arguments; None if there is no such tracepoint."""
        type_id = self._typedefs.get(f"btf_trace_{name}")
        if type_id is None:
            return None
        pointer = self._offsets[type_id]
        proto = self._offsets[_TYPE.unpack_from(self._blob, pointer)[2]]
        return (int(_TYPE.unpack_from(self._blob, proto)[1]) & 0xFFFF) - 1
