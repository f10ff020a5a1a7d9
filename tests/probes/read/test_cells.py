# SPDX-License-Identifier: GPL-2.0-only
"""Counters in cells, as programs would write them, in a real map."""

import os
from collections.abc import Iterator

import numpy as np
import pytest

from fdscope.probes.kernel import libbpf
from fdscope.probes.read.cells import Cells
from fdscope.probes.schema.records import dtype
from fdscope.probes.schema.slots import code_of
from fdscope.probes.schema.taxonomy import Account, Door, FdType

pytestmark = pytest.mark.kernel

ARRAY, MAPPED = 2, 1 << 10  # include/uapi/linux/bpf.h: BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE
USED = 1 << 32
READ = code_of(Account.FILE_READ, FdType.REGULAR, Door.READ_WRITE)
EXT4 = 0xFFFF_8000_0000_1234


@pytest.fixture
def cells() -> Iterator[tuple[int, Cells]]:
    fd = libbpf.make_map("cells", ARRAY, 4, dtype("cell").itemsize, 100, MAPPED)
    opened = Cells(fd)
    yield fd, opened
    opened.close()
    os.close(fd)


def put(fd: int, place: int, tgid: int, filesystem: int, amount: tuple[int, int]) -> None:
    owner = tgid | 7 << 32
    cell = np.array((owner, READ | USED, filesystem, *amount, [0] * 3), dtype("cell"))
    libbpf.put(fd, place.to_bytes(4, "little"), cell.tobytes())


def found(cells: Cells) -> list[tuple[int, tuple[int, int]]]:
    keys, amounts = cells.read(keep=True)
    assert set(keys["start"]) <= {7}
    return sorted(zip(keys["tgid"].tolist(), map(tuple, amounts[:, 0].tolist()), strict=True))


def test_used_cells_alone_are_read(cells: tuple[int, Cells]) -> None:
    fd, opened = cells
    assert opened.capacity == 100
    assert found(opened) == []
    put(fd, 0, 11, 0, (1, 10))
    put(fd, 99, 11, EXT4, (2, 20))
    put(fd, 50, 12, EXT4, (3, 30))
    assert found(opened) == [(11, (1, 10)), (11, (2, 20)), (12, (3, 30))]


def test_what_is_given_back_stays_in_the_sums_of_filesystems(cells: tuple[int, Cells]) -> None:
    fd, opened = cells
    put(fd, 1, 11, EXT4, (2, 20))
    put(fd, 2, 12, EXT4, (3, 30))
    put(fd, 3, 12, 0, (4, 40))
    found(opened)
    put(fd, 4, 11, EXT4, (5, 50))
    for _ in range(2):
        opened.give_back(np.array([(11, 7)], dtype("process_key")))
        assert [tgid for tgid, _ in sorted(found(opened))].count(12) == 2
        keys, sums = opened.filesystem_bytes()
        assert keys.tolist() == [(EXT4, FdType.REGULAR, Account.FILE_READ)]
        assert sums.tolist() == [[100]]
    assert [tgid for tgid, _ in found(opened)] == [12, 12], "the second call gives back the rest"
