# SPDX-License-Identifier: GPL-2.0-only
"""A flood of short-lived processes with names of their own: bounded series, and no byte lost."""

import os
import subprocess
import sys

import pytest

from exporter.processes import Processes
from probes.session import Session, attach
from probes.snapshot import slot
from probes.source import Settings
from probes.taxonomy import Account, FdType, Mode

pytestmark = pytest.mark.kernel

ROOM = 256
PROCESSES = 3 * ROOM
EACH = 7
LARGEST = 5

FLOOD = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
processes, each = map(int, sys.argv[1:])
for number in range(processes):
    if not os.fork():
        libc.prctl(15, b"evil-%d" % number)
        reader, writer = os.pipe()
        os.write(writer, bytes(each))
        os._exit(0)
    os.wait()
"""


def written_to_pipes(session: Session, processes: Processes) -> int:
    processes.update(session.snapshot(), 0.0)
    return sum(
        amount.bytes
        for amounts in processes.totals().values()
        for code, amount in amounts.items()
        if slot(code)[:2] == (Account.FILE_WRITE, FdType.FIFO)
    )


def test_a_flood_of_names_is_bounded_and_counted() -> None:
    """There are more processes than the kernel's maps have room for."""
    mode = Mode(os.environ.get("FDSCOPE_ATTACH_MODE", Mode.TRACEPOINT.value))
    session = attach([mode], Settings(counter_entries=ROOM, process_entries=ROOM))
    try:
        processes = Processes(LARGEST, lambda _: "", lambda _: True)
        before = written_to_pipes(session, processes)
        command = [sys.executable, "-c", FLOOD, str(PROCESSES), str(EACH)]
        subprocess.run(command, check=True)
        assert written_to_pipes(session, processes) - before >= PROCESSES * EACH
        assert all(fill.entries <= ROOM for fill in session.snapshot().maps.values())
        assert processes.counts()["own"] <= LARGEST
        evil = {owner for owner in processes.totals() if owner.process.startswith("evil-")}
        assert len(evil) <= ROOM
        assert sum(bool(owner.pid) for owner in evil) <= LARGEST
    finally:
        session.close()
