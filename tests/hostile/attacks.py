# SPDX-License-Identifier: GPL-2.0-only
"""What a user without any right can do to drown the exporter: each runs until it is killed."""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.hostile.actors import STRANGER, rename, start
from tests.hostile.cgroups import Subtree, join
from tests.hostile.clients import PATHS, asking, crowd
from tests.hostile.test_names import OF_CGROUPS, OF_PROCESSES

DEEP = 1100
MANY = 1000
CROWD = 300


def _again(work: Callable[[int], object]) -> None:
    """Do it again and again; a limit that it meets is no end."""
    number = 0
    while True:
        with contextlib.suppress(OSError):
            work(number)
        number += 1
        time.sleep(0.001)


def many_cgroups(ground: Path) -> None:
    """A thousand, with names of any bytes; then they are gone again."""

    def once(number: int) -> None:
        base = os.fsencode(ground) + b"/many%d.slice" % number
        os.mkdir(base)  # noqa: PTH102 - bytes
        names = [
            b"%s/%d%s" % (base, n, OF_CGROUPS[n % len(OF_CGROUPS)][-240:]) for n in range(MANY)
        ]
        for name in names:
            os.mkdir(name)  # noqa: PTH102 - bytes
        for name in names:
            os.rmdir(name)  # noqa: PTH106 - bytes
        os.rmdir(base)  # noqa: PTH106 - bytes

    _again(once)


def deep_cgroups(ground: Path) -> None:
    """A tree that is deeper than a stack, with a process on its ground; then another one."""
    Subtree(ground).deep(DEEP)
    time.sleep(10)

    def once(number: int) -> None:
        base = ground / f"deep{number}"
        base.mkdir()
        at = Subtree(base).deep(DEEP, b"\xff" * 255)
        join(at, 0)
        time.sleep(5)
        join(ground, 0)
        os.close(at)
        Subtree(base).remove()

    _again(once)


def units_without_end(ground: Path) -> None:
    """Each has one process that lives for a moment, under a name of any bytes."""

    def once(number: int) -> None:
        name = OF_CGROUPS[number % len(OF_CGROUPS)][-240:]
        path = b"%s/%d%s" % (os.fsencode(ground), number, name)
        os.mkdir(path)  # noqa: PTH102 - bytes

        def live() -> None:
            join(path, 0)
            rename(OF_PROCESSES[number % len(OF_PROCESSES)])
            os.close(os.open("/", os.O_RDONLY))

        os.waitpid(start(live), 0)
        os.rmdir(path)  # noqa: PTH106 - bytes

    _again(once)


def moves(ground: Path) -> None:
    """One process that changes its cgroup a thousand times a second."""
    paths = [ground / f"move{number}.service" for number in range(2)]
    for path in paths:
        path.mkdir()
    _again(lambda number: join(paths[number % 2], 0))


def closed_directories(ground: Path) -> None:
    """Cgroups that only their owner may read, and then nobody."""

    def once(number: int) -> None:
        base = ground / f"closed{number}.slice"
        (base / "inner.service").mkdir(parents=True)
        base.chmod(0)
        time.sleep(0.5)
        base.chmod(0o700)
        (base / "inner.service").rmdir()
        base.rmdir()

    _again(once)


def slow_readers(address: tuple[str, int]) -> None:
    """A crowd that takes nothing, from one address and from many."""
    first = [asking(PATHS[number % len(PATHS)]) for number in range(CROWD)]

    def once(number: int) -> None:
        with crowd(address, first, sources=1 + number % 2 * 50):
            time.sleep(5)

    _again(once)


def shares_of_the_processor(name: str) -> Path | None:
    """A cgroup that takes part in the sharing of the processors as one slice, as systemd has it.

    None where the controller cannot be had.
    """
    first, unified = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup/cgroup.subtree_control")
    if first.is_dir():
        made = first / f"{name}-{os.getpid()}"
        made.mkdir()
        return made
    with contextlib.suppress(OSError):
        unified.write_text("+cpu")
    return None


class Besiegers:
    """All attacks at once, by processes of the stranger in a delegated cgroup."""

    def __init__(self, ground: Path, slice_: Path | None, folder: Path, herd: int) -> None:
        self._ground = ground
        self._slice = slice_
        self.pids: list[int] = []
        self.storms = [
            self._program(folder / "names", kind, style, "0", rate, folder)
            for kind, style, rate in (
                ("fork", "odd", "0"), ("exec", "plain", "300"), ("thread", "odd", "500"),
                ("rename", "odd", "1000"), ("fork", "plain", "500"),
            )
        ]  # fmt: skip
        self.others = [
            self._program(folder / "errnos", "1000000", "300"),
            self._program(folder / "herd", str(herd)),
        ]

    def call(self, address: tuple[str, int]) -> None:
        """Start the attacks that are functions."""
        works: Sequence[Callable[[], None]] = [
            lambda: many_cgroups(self._ground), lambda: deep_cgroups(self._ground),
            lambda: units_without_end(self._ground), lambda: moves(self._ground),
            lambda: closed_directories(self._ground), lambda: slow_readers(address),
        ]  # fmt: skip
        for work in works:
            pid = start(work, self._ground, STRANGER)
            self.pids.append(pid)
            self._join_slice(pid)

    def end(self) -> int:
        """End them all; how many names the storms had, each with its bytes."""
        for storm in self.storms:
            storm.terminate()
        names = [int(storm.communicate(timeout=60)[0]) for storm in self.storms]
        self.kill()
        return sum(names)

    def kill(self) -> None:
        """End them, whatever they do."""
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        for pid in self.pids:
            os.waitpid(pid, 0)
        self.pids = []
        for process in (*self.storms, *self.others):
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()

    def _program(self, *command: str | Path) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            ["/bin/sh", "-c", 'read x; exec "$@"', "sh", *command],
            user=STRANGER, group=STRANGER, extra_groups=(), cwd="/",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        join(self._ground, process.pid)
        self._join_slice(process.pid)
        assert process.stdin
        process.stdin.write(b"\n")
        process.stdin.close()
        process.stdin = None
        return process

    def _join_slice(self, pid: int) -> None:
        if self._slice:
            join(self._slice, pid)
