# SPDX-License-Identifier: GPL-2.0-only
"""The ground truth from the workloads, through memory shared with the runner."""

import mmap
import os
import struct
from typing import NamedTuple

from fdscope.probes.schema.snapshot import Amount

RECORDS = 65536
_RECORD = struct.Struct("<QQI16s12s16s16s")
"""``struct record`` of tests/workloads/tally.h."""


class Entry(NamedTuple):
    """Operations of one kind by one process; words as in the labels."""

    pid: int
    name: str
    account: str
    """``read``, ``written``, ``peeked`` or ``duplicated``, seen from the process."""
    fd_type: str
    door: str
    amount: Amount


def _word(text: bytes) -> str:
    return text.partition(b"\0")[0].decode()


class Tally:
    """Shared memory, and the entries that workloads put there."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("tally", 0)  # the workloads inherit it
        os.ftruncate(self.fd, (RECORDS + 1) * _RECORD.size)
        self._memory = mmap.mmap(self.fd, (RECORDS + 1) * _RECORD.size)

    def entries(self) -> list[Entry]:
        """All entries so far."""
        count = _RECORD.unpack_from(self._memory, 0)[0]
        found = []
        for index in range(1, count + 1):
            operations, byte_count, pid, name, *words = _RECORD.unpack_from(
                self._memory, index * _RECORD.size
            )
            account, fd_type, door = map(_word, words)
            amount = Amount(operations, byte_count)
            found.append(Entry(pid, _word(name), account, fd_type, door, amount))
        return found

    def close(self) -> None:
        """Free the memory."""
        self._memory.close()
        os.close(self.fd)
