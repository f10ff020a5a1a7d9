# SPDX-License-Identifier: GPL-2.0-only
"""Runs that the kernel skips are reported: a task that preempts another one in its probe.

A program that is preempted in the middle of a run is not started a second time on that CPU.
That needs a kernel on which tasks preempt the kernel, and a mode whose programs can be preempted:
fentry, and since Linux 7.0 tracepoint. Kprobe mode must be exact everywhere.
"""

import os
import signal
import time

from fdscope.exporter.accounts.losses import between
from fdscope.probes.read.session import Session
from fdscope.probes.schema.taxonomy import Account, Door, FdType
from tests.kernel.conftest import in_child, of_tgid
from tests.scorecard.runner import skips_runs

TIMES = 2000
PAUSE_SECONDS = 0.0002


def busy() -> None:
    """Reads, mostly inside the system call and its probes."""
    zero = os.open("/dev/zero", os.O_RDONLY)
    while True:
        os.read(zero, 1)


def urgent() -> None:
    """Wakes up on the same CPU, preempts what runs there, and moves a byte."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    read_fd, write_fd = os.pipe()
    for _ in range(TIMES):
        time.sleep(PAUSE_SECONDS)
        os.write(write_fd, b"x")
        os.read(read_fd, 1)


def test_counted_or_told(session: Session) -> None:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    before = session.snapshot()
    victim = os.fork()
    if victim == 0:
        busy()
    try:
        tgid = in_child(urgent)
    finally:
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        os.sched_setaffinity(0, allowed)
    after = session.snapshot()
    losses = between(before, after)
    counted = of_tgid(after, tgid)
    done = [
        counted[account, FdType.FIFO, Door.READ_WRITE, 0].operations
        for account in (Account.FILE_READ, Account.FILE_WRITE)
    ]
    missing = 2 * TIMES - sum(done)
    assert 0 <= missing <= sum(losses.missed_runs.values()), (done, losses)
    if not skips_runs(session.mode):
        assert not missing, losses
    assert losses.complete == (not losses.missed_runs), losses
