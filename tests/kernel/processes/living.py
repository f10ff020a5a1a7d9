# SPDX-License-Identifier: GPL-2.0-only
"""Processes that have done some work and wait, also without their leader."""

import ctypes
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_CALLS = {
    "x86_64": {"read": 0, "connect": 42, "recvfrom": 45, "exit": 60},
    "aarch64": {"read": 63, "connect": 203, "recvfrom": 207, "exit": 93},
}[platform.machine()]


def state_of(tid: int) -> str:
    """The letter of a thread's state, e.g. ``Z``."""
    return Path(f"/proc/{tid}/stat").read_text().rpartition(") ")[2][0]


def wait_until_in(tid: int, *calls: str) -> None:
    """Wait until a thread sleeps in one of these system calls."""
    numbers = {str(_CALLS[call]) for call in calls}
    while Path(f"/proc/self/task/{tid}/syscall").read_text().split()[0] not in numbers:
        time.sleep(0.001)


def end_this_thread() -> None:
    """End only the calling thread; if it is the leader, the process continues without it."""
    ctypes.CDLL(None).syscall(_CALLS["exit"], 0)


def without_leader(work: Callable[[], object]) -> None:
    """Do ``work`` in a second thread once the calling one, the leader, has ended."""

    def follow() -> None:
        while state_of(os.getpid()) != "Z":
            time.sleep(0.01)
        try:
            work()
        except BaseException as error:
            os.write(2, f"workload: {error!r}\n".encode())
            os._exit(1)
        os._exit(0)

    threading.Thread(target=follow).start()
    end_this_thread()


@contextmanager
def alive(work: Callable[[], object], with_leader: bool = True) -> Iterator[int]:
    """A process that has done ``work`` and waits; its pid."""
    read_fd, write_fd = os.pipe()

    def work_and_wait() -> None:
        work()
        os.write(write_fd, b"x")
        signal.pause()

    pid = os.fork()
    if pid == 0:
        try:
            if with_leader:
                work_and_wait()
            else:
                without_leader(work_and_wait)
        except BaseException as error:
            os.write(2, f"workload: {error!r}\n".encode())
            os._exit(1)
    try:
        os.close(write_fd)
        assert os.read(read_fd, 1) == b"x", "the workload failed: see its message above"
        yield pid
    finally:
        os.close(read_fd)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
