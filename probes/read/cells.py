# SPDX-License-Identifier: GPL-2.0-only
"""Counters that programs keep in cells: a BPF array that is mapped into this process.

See ``probes/bpf/core/cells.c``. Reading takes no system call. A cell is given back when its process
has ended: then no program writes to it any more.
"""

import mmap

import numpy as np

from fdscope.probes.kernel import libbpf
from fdscope.probes.read.maps import Array
from fdscope.probes.schema.records import dtype

_CELL = dtype("cell")
_FILESYSTEM = dtype("filesystem_key")


class Cells:
    """The cells behind the descriptor of their map; OSError if it cannot be mapped."""

    def __init__(self, fd: int) -> None:
        self.capacity = libbpf.statistic(fd, "max_entries")
        page = mmap.PAGESIZE
        size = (self.capacity * _CELL.itemsize + page - 1) // page * page
        self._memory = mmap.mmap(fd, size)
        self._cells: Array = np.frombuffer(self._memory, _CELL, self.capacity)
        self._places = np.empty(0, np.intp)
        """Of the cells that were read last: only these may be given back."""
        self._new = np.empty(0, np.intp)
        """Of those, the ones that were not used at the reading before."""
        self._retired: dict[tuple[int, int, int], int] = {}
        """Bytes of cells that were given back, by the fields of a ``filesystem_key``."""

    def _used(self) -> Array:
        """Places of the cells that count."""
        return np.flatnonzero(self._cells["code"])

    def read(self, keep: bool) -> tuple[Array, Array]:
        """The counters as if of a hash map: keys of shape (n,), amounts of shape (n, 1).

        A key can be there more than once. ``keep``: these may be given back by ``give_back``.
        """
        places = self._used()
        if keep:
            self._new = np.setdiff1d(places, self._places, assume_unique=True)
            self._places = places
        cells = self._cells[places]
        amounts = np.empty((len(cells), 1), dtype("amount"))
        amounts["operations"][:, 0] = cells["operations"]
        amounts["bytes"][:, 0] = cells["bytes"]
        return _keys(cells), amounts

    def new_keys(self) -> Array:
        """Keys of the cells that ``read`` has kept and that the reading before had not."""
        return _keys(self._cells[self._new])

    def filesystem_bytes(self) -> tuple[Array, Array]:
        """Keys of shape (n,) as of the map of that name, and bytes of shape (n, 1)."""
        sums = dict(self._retired)
        _add_filesystems(sums, self._cells[self._used()])
        keys = np.array(list(sums), _FILESYSTEM)
        return keys, np.array(list(sums.values()), "<u8").reshape(-1, 1)

    def give_back(self, processes: Array) -> None:
        """Empty the cells of processes that have ended, of those that were read last."""
        ours = self._places[np.isin(self._cells["owner"][self._places], processes.view("<u8"))]
        if not len(ours):
            return
        _add_filesystems(self._retired, self._cells[ours])
        # Not used, then empty, then free to be taken.
        for field in ("code", "filesystem", "operations", "bytes", "owner"):
            self._cells[field][ours] = 0
        self._places = np.setdiff1d(self._places, ours, assume_unique=True)

    def close(self) -> None:
        """Unmap them."""
        self._cells = np.empty(0, _CELL)
        self._memory.close()


def _keys(cells: Array) -> Array:
    """The keys of shape (n,) that they would have in the hash map."""
    words = np.empty((len(cells), 3), "<u4")
    words[:, :2] = np.ascontiguousarray(cells["owner"]).view("<u4").reshape(-1, 2)
    words[:, 2] = cells["code"]
    keys: Array = words.view(dtype("counter_key"))[:, 0]
    return keys


def _add_filesystems(sums: dict[tuple[int, int, int], int], cells: Array) -> None:
    """Add the bytes of cells by filesystem, fd type and account."""
    with_one = cells[(cells["filesystem"] != 0) & (cells["bytes"] != 0)]
    for filesystem, code, count in with_one[["filesystem", "code", "bytes"]].tolist():
        key = filesystem, code >> 8 & 0xFF, code & 0xFF
        sums[key] = sums.get(key, 0) + count
