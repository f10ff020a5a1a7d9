# SPDX-License-Identifier: GPL-2.0-only
"""Reads and empties BPF maps in batches, through the C library libbpf."""

import ctypes
import errno
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fdscope.probes.attach.maps import BpfMap
from fdscope.probes.attach.settings import Settings
from fdscope.probes.kernel.libbpf import failed, host_cpus, libbpf
from fdscope.probes.kernel.preemption import undisturbed
from fdscope.probes.schema.records import dtype

_NO_EXIST = 1
"""BPF_NOEXIST"""
_BATCH = 4096
"""Entries a system call; a map that needs more calls is read in several."""

Array = np.ndarray[Any, np.dtype[Any]]


def over_cpus(amounts: Array) -> Array:
    """Shape (n, cpus) of records to (n, 2): operations and bytes."""
    # einsum, for sum() over a short inner axis takes six times as long
    sums: Array = np.einsum("ijk->ik", amounts.view("<u8").reshape(*amounts.shape, 2))
    return sums


@undisturbed()
def read_value(fd: int, value: "np.dtype[Any]") -> Any:
    """The first value of a BPF array that is not per-CPU; OSError if refused."""
    record = np.empty(1, value)
    if libbpf().bpf_map_lookup_elem(fd, ctypes.byref(ctypes.c_uint32(0)), _address(record)) < 0:
        raise failed("cannot read a BPF array")
    return record[0]


def _address(array: Array) -> int:
    return int(array.ctypes.data)


@dataclass(slots=True)
class HashMap:
    """A BPF hash map, per-CPU or not, behind its file descriptor."""

    fd: int
    key: "np.dtype[Any]"
    value: "np.dtype[Any]"
    capacity: int
    cpus: int = 1
    """Slots a value has: 1 unless it is a per-CPU map."""

    @undisturbed()
    def read(self) -> tuple[Array, Array]:
        """All entries: keys of shape (n,), values of shape (n, cpus); OSError if refused.

        An entry that is added or removed meanwhile may or may not be there, others are there
        exactly once: a batch ends at the border of a hash bucket.
        """
        size = min(_BATCH, self.capacity)
        keys: list[Array] = []
        values: list[Array] = []
        cursor = ctypes.create_string_buffer(max(self.key.itemsize, 8))
        position: Any = None
        while True:
            key_part = np.empty(size, self.key)
            value_part = np.empty((size, self.cpus), self.value)
            count = ctypes.c_uint32(size)
            result = libbpf().bpf_map_lookup_batch(
                self.fd, position, cursor, _address(key_part), _address(value_part), count, None
            )
            end = result < 0 and ctypes.get_errno() == errno.ENOENT
            if result < 0 and ctypes.get_errno() == errno.ENOSPC:
                size *= 2  # one bucket alone holds more than a batch
                continue
            if result < 0 and not end:
                raise failed("cannot read a BPF map")
            keys.append(key_part[: count.value])
            values.append(value_part[: count.value])
            if end:
                return np.concatenate(keys), np.concatenate(values)
            position = cursor

    @undisturbed()
    def get(self, key: int) -> Any:
        """The value of a key that is a u32; OSError if it is not there."""
        value = np.empty(self.cpus, self.value)
        wanted = ctypes.c_uint32(key)
        if libbpf().bpf_map_lookup_elem(self.fd, ctypes.byref(wanted), _address(value)) < 0:
            raise failed("cannot read a BPF map")
        return value[0]

    @undisturbed()
    def remove(self, key: int) -> None:
        """Remove the entry of a key that is a u32, if there is one: for maps without batches."""
        wanted = ctypes.c_uint32(key)
        result = libbpf().bpf_map_delete_elem(self.fd, ctypes.byref(wanted))
        if result < 0 and ctypes.get_errno() != errno.ENOENT:
            raise failed("cannot delete from a BPF map")

    @undisturbed()
    def put(self, key: Any, value: Any, new: bool = False) -> None:
        """Set the value of a key, both as arrays of one; OSError if refused.

        ``new``: FileExistsError if the key is there already.
        """
        flags = _NO_EXIST if new else 0
        if libbpf().bpf_map_update_elem(self.fd, _address(key), _address(value), flags) < 0:
            raise failed("cannot write to a BPF map")

    @undisturbed()
    def add(self, keys: Array) -> int:
        """Add entries that hold nothing; how many are there before the map was full."""
        empty = np.zeros(self.cpus, self.value)
        for at in range(len(keys)):
            result = libbpf().bpf_map_update_elem(
                self.fd, _address(keys[at : at + 1]), _address(empty), _NO_EXIST
            )
            if result < 0 and ctypes.get_errno() != errno.EEXIST:
                return at
        return len(keys)

    @undisturbed()
    def delete(self, keys: Array) -> None:
        """Remove entries; those that are gone already do not matter."""
        at = 0
        while at < len(keys):
            rest = np.ascontiguousarray(keys[at:])
            count = ctypes.c_uint32(len(rest))
            result = libbpf().bpf_map_delete_batch(self.fd, _address(rest), count, None)
            if result < 0 and ctypes.get_errno() != errno.ENOENT:
                raise failed("cannot delete from a BPF map")
            at += count.value + (1 if result < 0 else 0)


@dataclass(slots=True)
class PerCpuArray:
    """A BPF array, per-CPU or not (then ``cpus`` is 1), behind its file descriptor."""

    fd: int
    value: "np.dtype[Any]"
    entries: int
    cpus: int

    @undisturbed()
    def read(self) -> Array:
        """All values, shape (entries, cpus); OSError if refused."""
        values = np.empty((self.entries, self.cpus), self.value)
        keys = np.empty(self.entries, "<u4")
        cursor = ctypes.create_string_buffer(8)
        count = ctypes.c_uint32(self.entries)
        result = libbpf().bpf_map_lookup_batch(
            self.fd, None, cursor, _address(keys), _address(values), count, None
        )
        if result < 0 and ctypes.get_errno() == errno.ENOENT:
            return values
        if result < 0:
            return self._read_one_by_one()
        return values

    def _read_one_by_one(self) -> Array:
        """Read a per-CPU array without batches.

        For kernels before Linux kernel commit f008d732ab18 ("bpf: Add batched ops support for
        percpu array") (in v5.13).
        """
        values = np.empty((self.entries, self.cpus), self.value)
        for index in range(self.entries):
            key = ctypes.c_uint32(index)
            at = _address(values[index])
            if libbpf().bpf_map_lookup_elem(self.fd, ctypes.byref(key), at) < 0:
                raise failed("cannot read a BPF array")
        return values


class OpenMaps:
    """Open descriptors of maps, by the names of the maps; KeyError for a map that is not there."""

    def __init__(self, declared: Sequence[BpfMap], fds: Sequence[int], settings: Settings) -> None:
        """``fds``: those of the maps, in the order of ``declared``; others may follow."""
        self._maps = {each.name: (each, fd) for each, fd in zip(declared, fds, strict=False)}
        self._settings = settings
        self._cpus = host_cpus()

    def __len__(self) -> int:
        return len(self._maps)

    def descriptor(self, name: str) -> int:
        """The descriptor alone."""
        return self._maps[name][1]

    def hash_map(self, name: str) -> HashMap:
        """A reader of a map with keys."""
        of, fd = self._maps[name]
        cpus = self._cpus if of.kind.is_per_cpu else 1
        return HashMap(fd, dtype(of.key), dtype(of.value), of.size(self._settings), cpus)

    def per_cpu_array(self, name: str) -> PerCpuArray:
        """A reader of an array, which each CPU may have."""
        of, fd = self._maps[name]
        cpus = self._cpus if of.kind.is_per_cpu else 1
        return PerCpuArray(fd, dtype(of.value), of.size(self._settings), cpus)
