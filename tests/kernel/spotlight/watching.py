# SPDX-License-Identifier: GPL-2.0-only
"""Processes that are watched from before they do what a test wants to see."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fdscope.exporter.spotlight.lens import recorder_of
from fdscope.exporter.spotlight.recorder import ProcessView, Recorder, View
from fdscope.exporter.spotlight.rows import FileRow
from fdscope.probes.read.session import Session
from fdscope.probes.schema.files import Watched
from fdscope.probes.schema.slots import slot
from fdscope.probes.schema.snapshot import NOTHING, Amount, ProcessKey
from fdscope.probes.schema.taxonomy import Account

_STOP = "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)\n"

ByWay = dict[tuple[int, int, int], Amount]
"""(account, door, errno) to amount."""


def watched(session: Session) -> Watched:
    """What the maps hold of watched processes."""
    assert session.spotlight
    return session.spotlight.read()


@dataclass(slots=True)
class Watching:
    """A lease on the probes of the tests."""

    session: Session
    recorder: Recorder
    lease: int

    def watch(self, pid: int, follow: bool = True) -> ProcessKey:
        return self.recorder.watch(self.lease, pid, follow)

    def view(self, with_peers: bool = False) -> View:
        return self.recorder.view(self.lease, with_peers)

    def run(self, code: str, *arguments: str) -> View:
        """Run Python code in a process that is watched from the first line; what was seen."""
        with subprocess.Popen([sys.executable, "-c", _STOP + code, *arguments]) as process:
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            self.watch(process.pid)
            os.kill(process.pid, signal.SIGCONT)
            assert process.wait(60) == 0
        return self.view()

    def accounted(self, key: ProcessKey) -> ByWay:
        """What the accounts have of a process at the file layer."""
        sums: ByWay = {}
        for code, amount in self.session.peek().amounts.get(key, {}).items():
            of = slot(code)
            if of.account.is_file:
                way = of.account, of.via, of.errno
                sums[way] = sums.get(way, NOTHING).plus(amount)
        return sums


@contextmanager
def watching(session: Session) -> Iterator[Watching]:
    recorder = recorder_of(session)
    assert recorder
    lease = recorder.lease()
    try:
        yield Watching(session, recorder, lease)
    finally:
        recorder.release(lease)


def sums(process: ProcessView) -> ByWay:
    """What all files of a process have in sum."""
    total: ByWay = {}
    for row in process.rows:
        for operation, done in row.done.items():
            way = operation.account, operation.door, operation.errno
            total[way] = total.get(way, NOTHING).plus(done.amount)
    return total


def row_of(process: ProcessView, name: str) -> FileRow:
    """The only row of that name."""
    found = [row for row in process.rows if row.name.text == name]
    assert len(found) == 1, (name, [row.name for row in process.rows])
    return found[0]


READ, WRITE = Account.FILE_READ, Account.FILE_WRITE
