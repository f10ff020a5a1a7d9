# SPDX-License-Identifier: GPL-2.0-only
"""Compiled programs as plain values: what BCC made, without BCC's memory and descriptors."""

import base64
import ctypes
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

from fdscope.probes.attach import instructions
from fdscope.probes.kernel.libbpf import INSTRUCTION_BYTES

_OF_MAPS = (1, 2)
"""include/uapi/linux/bpf.h: BPF_PSEUDO_MAP_FD, BPF_PSEUDO_MAP_VALUE."""


class ObjectError(ValueError):
    """Not a compiled object; the text says why."""


@dataclass(frozen=True, slots=True)
class Map:
    """What the kernel is asked for to make a map."""

    name: str
    kind: int
    """An enum bpf_map_type."""
    key_bytes: int
    value_bytes: int
    entries: int
    flags: int


@dataclass(frozen=True, slots=True)
class Object:
    """Maps, and programs that name a map by its place among them, where the kernel wants its fd."""

    compiler: str
    """Version of BCC."""
    maps: tuple[Map, ...]
    programs: dict[str, bytes]
    """Name to instructions."""

    def instructions(self, name: str, map_fds: list[int]) -> bytes:
        """A program for these maps, in the order of ``maps``; ObjectError if there is none."""
        if name not in self.programs:
            raise ObjectError(f"there is no program {name}")
        return _with_maps(self.programs[name], map_fds.__getitem__)

    def text(self) -> bytes:
        """All of it as JSON; the same text for the same object."""
        plain = {
            "compiler": self.compiler,
            "maps": [asdict(each) for each in self.maps],
            "programs": {
                name: base64.b64encode(instructions).decode()
                for name, instructions in self.programs.items()
            },
        }
        return json.dumps(plain, separators=(",", ":")).encode()

    @classmethod
    def of_text(cls, text: bytes) -> "Object":
        """The object behind what ``text()`` gave; ObjectError for anything else."""
        try:
            plain = json.loads(text)
            maps = tuple(Map(**each) for each in plain["maps"])
            programs = {
                name: base64.b64decode(encoded, validate=True)
                for name, encoded in plain["programs"].items()
            }
            found = cls(plain["compiler"], maps, programs)
            if not isinstance(found.compiler, str) or not all(map(_is_sound, maps)):
                raise ObjectError("a value of another type")
            for program in programs.values():
                _with_maps(program, range(len(maps)).index)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ObjectError(f"not a compiled object: {error}") from error
        return found


def _is_sound(of: Map) -> bool:
    name, *numbers = astuple(of)
    return isinstance(name, str) and all(type(each) is int and each >= 0 for each in numbers)


def _map_loads(program: bytes) -> Iterator[tuple[int, int]]:
    """(place in bytes of the immediate, its value) of each instruction that names a map."""
    if len(program) % INSTRUCTION_BYTES:
        raise ObjectError("a program ends in the middle of an instruction")
    for at, (operation, registers, _, value) in instructions.each(program):
        if operation == instructions.LOAD_WIDE and registers >> 4:
            if registers >> 4 not in _OF_MAPS:
                raise ObjectError(f"a program loads an address of kind {registers >> 4}")
            yield at * INSTRUCTION_BYTES + 4, value


def _with_maps(program: bytes, name_of: Any) -> bytes:
    """The same with another name for each map; ObjectError if it names one that is not there."""
    changed = bytearray(program)
    for place, name in _map_loads(program):
        try:
            struct.pack_into("<i", changed, place, name_of(name))
        except (LookupError, ValueError) as error:
            raise ObjectError(f"a program names a map that is not there: {name}") from error
    return bytes(changed)


def _described(name: str, fd: int) -> Map:
    """A map by what the kernel says of it."""
    lines = Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines()
    told = {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return Map(
        name,
        int(told["map_type"]),
        int(told["key_size"]),
        int(told["value_size"]),
        int(told["max_entries"]),
        int(told["map_flags"], 0),
    )


def of_module(module: Any, library: Any, version: str, addresses: Mapping[str, int]) -> Object:
    """What BCC has compiled; ``module``: its handle, ``library``: BCC's ``lib``.

    ``addresses``: see ``maps.ADDRESSES``.

    ObjectError where BCC made what is not known here.
    """
    for function, result in (
        ("bpf_num_tables", ctypes.c_size_t),
        ("bpf_table_name", ctypes.c_char_p),
        ("bpf_table_fd_id", ctypes.c_int),
    ):
        getattr(library, function).restype = result
    maps, fds = [], []
    for number in range(library.bpf_num_tables(ctypes.c_void_p(module))):
        handle, place = ctypes.c_void_p(module), ctypes.c_size_t(number)
        fds.append(library.bpf_table_fd_id(handle, place))
        maps.append(_described(library.bpf_table_name(handle, place).decode(), fds[-1]))
    stand_ins = {
        addresses[each.name]: place for place, each in enumerate(maps) if each.name in addresses
    }
    programs = {}
    for number in range(library.bpf_num_functions(module)):
        name = library.bpf_function_name(module, number)
        start = library.bpf_function_start(module, name)
        text = ctypes.string_at(start, library.bpf_function_size(module, name))
        text = instructions.with_addresses(_with_maps(text, fds.index), stand_ins)
        programs[name.decode()] = instructions.completed(text)
    return Object(version, tuple(maps), programs)
