# SPDX-License-Identifier: GPL-2.0-only
"""The BTF reader against a small hand-made blob, and against the running kernel."""

import struct

import pytest

from fdscope.probes.kernel.btf import Btf, BtfError

INT, PTR, STRUCT, TYPEDEF, FUNC, FUNC_PROTO = 1, 2, 4, 8, 12, 13


class Blob:
    """Builds BTF: strings and types in the order they are added; type ids count from 1."""

    def __init__(self) -> None:
        self.strings = b"\0"
        self.types = b""

    def name(self, text: str) -> int:
        if not text:
            return 0
        self.strings += text.encode() + b"\0"
        return len(self.strings) - len(text) - 1

    def add(self, kind: int, name: str, vlen: int, size_or_type: int, tail: bytes = b"") -> None:
        info = kind << 24 | vlen
        self.types += struct.pack("<III", self.name(name), info, size_or_type) + tail

    def member(self, name: str, type_id: int, bits: int) -> bytes:
        return struct.pack("<III", self.name(name), type_id, bits)

    def build(self) -> bytes:
        sizes = (0, len(self.types), len(self.types), len(self.strings))
        return struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, *sizes) + self.types + self.strings


@pytest.fixture
def btf() -> Btf:
    blob = Blob()
    blob.add(INT, "int", 0, 4, struct.pack("<I", 32))  # 1
    blob.add(STRUCT, "", 1, 8, blob.member("inner", 1, 32))  # 2
    members = blob.member("first", 1, 0) + blob.member("", 2, 64)
    blob.add(STRUCT, "outer", 2, 16, members)  # 3
    blob.add(FUNC_PROTO, "", 2, 1, struct.pack("<IIII", 0, 1, 0, 1))  # 4
    blob.add(FUNC, "doit", 1, 4)  # 5
    blob.add(PTR, "", 0, 4)  # 6
    blob.add(TYPEDEF, "btf_trace_event", 0, 6)  # 7
    return Btf(blob.build())


def test_offsets_also_inside_anonymous_members(btf: Btf) -> None:
    assert btf.offset("outer", "first") == 0
    assert btf.offset("outer", "inner") == 12
    assert btf.offset("outer", "absent") is None
    assert btf.offset("absent", "first") is None


def test_functions_and_tracepoints(btf: Btf) -> None:
    assert btf.has_function("doit")
    assert btf.arity("doit") == 2
    assert btf.arity("absent") is None
    assert btf.tracepoint_arity("event") == 1
    assert btf.tracepoint_arity("absent") is None


def test_what_is_no_btf() -> None:
    with pytest.raises(BtfError, match="truncated"):
        Btf(b"")
    with pytest.raises(BtfError, match="magic"):
        Btf(bytes(64))
