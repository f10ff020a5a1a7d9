# SPDX-License-Identifier: GPL-2.0-only
"""Processes that do exactly what a test tells them, and attackers without any right."""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.hostile.cgroups import join
from tests.scorecard.programs import BUILT

STRANGER = 61234
"""User and group number of attackers; nobody has it."""
_PR_SET_NAME, _PR_SET_PDEATHSIG = 15, 1

Cgroup = bytes | str | Path | int | None
"""A path or a descriptor; None to stay."""


def rename(name: bytes) -> None:
    """Give this thread a name of any bytes."""
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name)


def start(work: Callable[[], object], cgroup: Cgroup = None, uid: int = 0) -> int:
    """Run ``work`` in a forked process that is in the cgroup, as the user, from the beginning."""
    entered, may_enter = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            os.read(entered, 1)
            if uid:
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
            work()
        except BaseException as error:
            os.write(2, f"actor: {error!r}\n".encode())
            os._exit(1)
        os._exit(0)
    try:
        if cgroup is not None:
            join(cgroup, pid)
    finally:
        os.write(may_enter, b"x")
        os.close(entered)
        os.close(may_enter)
    return pid


def end(pid: int) -> None:
    """Kill a child and wait for it."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


class Actor:
    """A process that writes to a file without a name as many bytes as it is told.

    ``written``: so many did it write. It sleeps in between.
    """

    def __init__(self, name: bytes, cgroup: Cgroup = None, folder: Path = Path("/var/tmp")) -> None:  # noqa: S108 - without a name
        self.name = name
        self.written = 0
        self._folder = folder
        inner_orders, self._orders = os.pipe()
        self._answers, inner_answers = os.pipe()
        self.pid = start(lambda: self._live(inner_orders, inner_answers), cgroup)
        os.close(inner_orders)
        os.close(inner_answers)
        self._alive = True

    def _live(self, orders: int, answers: int) -> None:
        rename(self.name)
        file = os.open(self._folder, os.O_TMPFILE | os.O_RDWR, 0o600)
        os.write(answers, b"r")
        while order := os.read(orders, 8):
            if not (count := int.from_bytes(order, "little")):
                break
            os.write(file, bytes(count))
            os.write(answers, b"d")

    def ready(self) -> "Actor":
        """Return when it has its name and its file."""
        assert os.read(self._answers, 1) == b"r", f"the process {self.name!r} failed"
        return self

    def write(self, count: int) -> None:
        """Have it write ``count`` bytes, in one call; return when that is done."""
        os.write(self._orders, count.to_bytes(8, "little"))
        assert os.read(self._answers, 1) == b"d", f"the process {self.name!r} failed"
        self.written += count

    def exit(self) -> None:
        """Let it end by itself, and wait until it has."""
        if self._alive:
            os.write(self._orders, bytes(8))
            os.waitpid(self.pid, 0)
            self._close()

    def kill(self) -> None:
        """End it, whatever it does."""
        if self._alive:
            end(self.pid)
            self._close()

    def _close(self) -> None:
        self._alive = False
        os.close(self._orders)
        os.close(self._answers)


@contextlib.contextmanager
def actor(name: bytes, cgroup: Cgroup = None) -> Iterator[Actor]:
    """An actor, for a while."""
    made = Actor(name, cgroup)
    try:
        yield made.ready()
    finally:
        made.kill()


@contextlib.contextmanager
def programs_of_strangers() -> Iterator[Path]:
    """The compiled workloads where any user can run them, in a folder that the stranger owns."""
    folder = Path(tempfile.mkdtemp(prefix="fdscope-test-", dir="/var/tmp"))
    try:
        for name in ("names", "errnos", "herd", "leader"):
            shutil.copy(BUILT / name, folder / name)
        for path in (folder, *folder.iterdir()):
            path.chmod(0o755)
        os.chown(folder, STRANGER, STRANGER)
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def neighbour() -> Iterator[None]:
    """A process that moves bytes through the same kind of sockets as the storms do."""

    def live() -> None:
        rename(b"neighbour")
        one, other = (end.detach() for end in socket.socketpair(type=socket.SOCK_SEQPACKET))
        while True:
            os.write(one, b"by write")
            os.writev(one, [b"by writev"])
            os.read(other, 64)
            os.readv(other, [bytearray(64)])
            time.sleep(0.01)

    pid = start(live)
    try:
        yield
        assert os.waitpid(pid, os.WNOHANG) == (0, 0), "the neighbour has ended"
    finally:
        end(pid)


def run_as_stranger(command: Sequence[str | Path], check: bool = True) -> int:
    """Run a program without any right, to its end; its exit status."""
    done = subprocess.run(
        command, user=STRANGER, group=STRANGER, extra_groups=(), check=False,
        cwd="/", stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert not check or done.returncode == 0, f"{command} ended with {done.returncode}"
    return done.returncode
