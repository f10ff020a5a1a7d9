# SPDX-License-Identifier: GPL-2.0-only
"""Processes that were there before the maps of counters were full."""

import os

import numpy as np
import pytest

from fdscope.probes.attach.settings import Settings
from fdscope.probes.read.session import Session, attach
from fdscope.probes.schema.slots import Slot, slot
from fdscope.probes.schema.taxonomy import Account, Door, FdType
from tests.hostile.actors import actor
from tests.kernel.conftest import modes

ENTRIES = 4096
"""The fewest with which there are cells."""


def written(session: Session, pid: int) -> int:
    wanted = Slot(Account.FILE_WRITE, FdType.REGULAR, Door.READ_WRITE, 0)
    return sum(
        amount.bytes
        for key, amounts in session.accounts().amounts.items()
        if key.tgid == pid
        for code, amount in amounts.items()
        if slot(code) == wanted
    )


def fill(session: Session) -> None:
    """Take all room in the maps, as a storm of names would."""
    counters, cells = session._counters, session._cells._cells
    keys = np.zeros(2 * ENTRIES, counters.key)
    keys["tgid"] = np.arange(1, len(keys) + 1) + (1 << 30)
    assert counters.add(keys) < len(keys)
    cells["owner"][cells["owner"] == 0] = 1 << 30


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_a_process_that_moves_to_another_cpu_keeps_its_counters() -> None:
    cpus = sorted(os.sched_getaffinity(0))
    session = attach(modes(), Settings(counter_entries=ENTRIES))
    try:
        with actor(b"fdscope-moves") as moving:
            os.sched_setaffinity(moving.pid, {cpus[0]})
            moving.write(1001)
            assert written(session, moving.pid) == 1001
            fill(session)
            for cpu in cpus:
                os.sched_setaffinity(moving.pid, {cpu})
                moving.write(1002)
            assert written(session, moving.pid) == moving.written
    finally:
        session.close()
