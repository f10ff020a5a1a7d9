# SPDX-License-Identifier: GPL-2.0-only
"""Durations by fd type and direction, measured only when asked for."""

import os
import threading
import time

from fdscope.probes.read.session import Session
from fdscope.probes.schema.taxonomy import Account, FdType
from tests.kernel.conftest import in_child, of_tgid


def test_a_read_that_waits(measuring: Session) -> None:
    """It is in a bucket of at least its time, and the bytes are counted as before."""

    def slow(account: Account) -> tuple[int, int]:
        latency = measuring.snapshot().latency.get((FdType.TTY, account))
        if latency is None:
            return 0, 0
        # 2^26 ns are 67 ms
        return sum(latency.buckets[27:]), latency.nanoseconds

    def work() -> None:
        master, user = os.openpty()
        later = threading.Timer(0.2, lambda: os.write(user, b"12345"))
        later.start()
        assert os.read(master, 5) == b"12345"
        later.join()

    before, nanoseconds = slow(Account.FILE_READ)
    tgid = in_child(work)
    after, total = slow(Account.FILE_READ)
    assert after == before + 1
    assert 0.15e9 < total - nanoseconds < 60e9
    counted = of_tgid(measuring.snapshot(), tgid)
    assert sum(a.bytes for k, a in counted.items() if k[:2] == (Account.FILE_READ, FdType.TTY)) == 5


def test_the_count_is_that_of_the_operations(measuring: Session) -> None:
    def reads() -> int:
        latency = measuring.snapshot().latency.get((FdType.TIMERFD, Account.FILE_READ))
        return sum(latency.buckets) if latency else 0

    def work() -> None:
        from fdscope.probes.selftest.fds import timerfd

        for _ in range(23):
            fd = timerfd().read
            time.sleep(0.001)
            os.read(fd, 8)

    before = reads()
    in_child(work)
    assert reads() - before >= 23


def test_not_measured_unless_asked_for(session: Session) -> None:
    assert session.snapshot().latency == {}
