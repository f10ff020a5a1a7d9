# SPDX-License-Identifier: GPL-2.0-only
"""Names, errnos and processes without end: bounded series, exact sums, and room given back."""

import os
import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.hostile.actors import STRANGER, actor, end, rename, start
from tests.hostile.answers import BUDGET, READ, WRITTEN, Exporter, Reading, grown
from tests.hostile.cgroups import Subtree
from tests.hostile.sizes import BOMBS, HERD, NAMES, RENAMES

EACH = 7
"""Bytes under each name, as tests/workloads/names.c has it."""
ERRORS_A_PROCESS = 9 * (511 - 1)
"""Of one fd, as tests/workloads/errnos.c makes them; EBADF counts as a refused descriptor."""
SCRAPE_SECONDS = 1.0
NEW_SECONDS = 10.0
"""A service that starts after a storm has its own series within this time."""
FALL_SECONDS = 120.0
"""After this time the series of the storm have been given back."""
FALLEN = 2500
"""Series that may be left of it."""
_THEIRS = re.compile(r"u[0-9a-f]{8}|\\xfe[0-9a-f]{8}|en[0-9a-f]+-|herd[0-9]")
"""Names of tests/workloads/names.c, errnos.c and herd.c."""
STORMS = re.compile(rf"{_THEIRS.pattern}|(names|errnos|herd)$")
"""The same, and those of their first processes."""
PAIRS = {"fd_type": "unix_seqpacket", "door": "vectored"}
"""What the storms of names move their bytes through."""
MOST_MIB = 150.0
"""What the exporter may grow by, storm or not."""
IDLE_SHARE = 0.10
"""Of one processor, beside a herd and while nobody asks."""


class Storm:
    """Scrapes each second while a program of a stranger runs."""

    def __init__(self, exporter: Exporter) -> None:
        self.exporter = exporter
        self.before = exporter.read()
        self.memory = exporter.memory_mib()
        self.most_series = 0
        self.slowest = 0.0

    def run(self, command: Sequence[str | Path]) -> None:
        """Run it to its end."""
        with subprocess.Popen(
            command, user=STRANGER, group=STRANGER, extra_groups=(), cwd="/",
            stdin=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            while process.poll() is None:
                self.look()
                time.sleep(1)
        assert process.returncode == 0

    def look(self) -> Reading:
        """One scrape."""
        answer = self.exporter.ask()
        reading = answer.parse()
        self.slowest = max(self.slowest, answer.seconds)
        self.most_series = max(self.most_series, len(reading.samples))
        return reading

    def grown(self, name: str, **labels: str) -> int:
        """By how much the storm's processes have grown, with those that are summed."""
        return grown(self.before, self.exporter.read(), STORMS, name, **labels)

    def check(self, cgroups: Subtree) -> None:
        """It was borne, and a new service is seen as any other."""
        assert self.most_series <= BUDGET
        assert self.slowest < SCRAPE_SECONDS
        new_service_is_seen(self.exporter, cgroups)
        assert not self.look().errors()
        assert self.exporter.memory_mib() - self.memory < MOST_MIB


def of_attackers(reading: Reading) -> int:
    """How many series have names that only the storms give."""
    return sum(bool(_THEIRS.match(row.labels.get("process", ""))) for row in reading.samples)


def recovers(exporter: Exporter) -> None:
    """What the storms made grow is given back."""
    deadline = time.monotonic() + FALL_SECONDS
    while (left := of_attackers(exporter.read())) > FALLEN:
        assert time.monotonic() < deadline, f"still {left} series"
        time.sleep(2)


def new_service_is_seen(exporter: Exporter, cgroups: Subtree) -> None:
    """One that lives and one that ended at once: by name, unit, pid and bytes.

    Room is given back at the second scrape after a storm.
    """
    for _ in range(2):
        exporter.read()
        time.sleep(1)
    path = cgroups.make(f"after{time.monotonic_ns()}.service")
    unit = path.rpartition(b"/")[2].decode()
    with actor(b"after-storm", path) as after, actor(b"after-short", path) as short:
        after.write(1001)
        short.write(1002)
        short.exit()
        wanted: dict[str, str | int] = {"process": "after-storm", "unit": unit, "pid": after.pid}
        reading = exporter.wait_for("the new service", NEW_SECONDS, **wanted)
        assert reading.written(**wanted) == 1001
        exporter.wait_for("a short life", NEW_SECONDS, process="after-short", unit=unit)
        assert exporter.read().written(process="after-short", unit=unit) == 1002


@pytest.mark.parametrize("style", ["plain", "odd"])
@pytest.mark.parametrize(("kind", "part"), [("fork", 1), ("exec", 6), ("thread", 1), ("rename", 3)])
def test_names(
    exporter: Exporter, cgroups: Subtree, workloads: Path, kind: str, part: int, style: str
) -> None:
    count = NAMES // part // (1 if style == "plain" else 4)
    storm = Storm(exporter)
    storm.run([workloads / "names", kind, style, str(count), "0", workloads])
    for metric in (WRITTEN, READ):
        assert storm.grown(metric, **PAIRS) == count * EACH
    storm.check(cgroups)


def test_a_thousand_names_a_second(exporter: Exporter, cgroups: Subtree, workloads: Path) -> None:
    """One process renames itself, and stays one process."""
    storm = Storm(exporter)
    storm.run([workloads / "names", "rename", "odd", str(RENAMES), "1000", workloads])
    assert storm.grown(WRITTEN, **PAIRS) == RENAMES * EACH
    assert storm.most_series - len(storm.before.samples) < 500
    storm.check(cgroups)


def test_errnos(exporter: Exporter, cgroups: Subtree, workloads: Path) -> None:
    """Each number there is, on each fd, by each door: no right is needed to make them up."""
    storm = Storm(exporter)
    storm.run([workloads / "errnos", str(BOMBS), "300"])
    counted = storm.grown("fdscope_file_errors_total", fd_type="timerfd")
    if exporter.read().mode() == "tracepoint":
        # pread, recvmsg and the like on a timerfd are errors of calls all the same.
        assert counted == BOMBS * ERRORS_A_PROCESS
    else:  # the filter answers before the file layer is reached
        assert counted in (0, BOMBS * ERRORS_A_PROCESS)
    # An error is none of the operations that succeeded.
    assert storm.grown("fdscope_file_reads_total", fd_type="timerfd") == 0
    storm.check(cgroups)


def test_a_herd(exporter: Exporter, cgroups: Subtree, workloads: Path) -> None:
    """Thousands of processes at once: scrapes stay short, and little is done while nobody asks."""
    storm = Storm(exporter)
    with subprocess.Popen(
        [workloads / "herd", str(HERD)], user=STRANGER, group=STRANGER, extra_groups=(),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
    ) as herd:  # fmt: skip
        try:
            assert herd.stdout is not None
            assert herd.stdout.read(1) == b"\0"
            for _ in range(12):
                storm.look()
                time.sleep(1)
            time.sleep(10)
            began, used = time.monotonic(), exporter.cpu_seconds()
            time.sleep(20)
            share = (exporter.cpu_seconds() - used) / (time.monotonic() - began)
            assert share < IDLE_SHARE
            storm.check(cgroups)
        finally:
            herd.kill()


def test_a_pid_that_comes_again(exporter: Exporter, cgroups: Subtree) -> None:
    """The next process of that pid, of the same name and in the same unit, is another one."""
    last_pid = Path("/proc/sys/kernel/ns_last_pid")
    if not last_pid.exists():
        pytest.skip("this kernel lets nobody choose the next pid (CONFIG_CHECKPOINT_RESTORE)")
    path = cgroups.make("pids.service")
    with actor(b"same-pid", path) as first:
        first.write(100)
        exporter.wait_for("the first", 5, pid=first.pid, process="same-pid")
        pid = first.pid
    file = os.open("/var/tmp", os.O_TMPFILE | os.O_RDWR)  # noqa: S108 - without a name

    def work() -> None:
        if os.getpid() == pid:
            rename(b"same-pid")
            os.write(file, bytes(11))
            time.sleep(60)

    got = 0
    for _ in range(500):
        last_pid.write_text(str(pid - 1))
        if (got := start(work, path)) == pid:
            break
        end(got)
    try:
        assert got == pid, "somebody else got the pid each time"
        wanted = {"process": "same-pid", "unit": "pids.service"}
        deadline = time.monotonic() + 10
        while (reading := exporter.read()).written(**wanted) < 111:
            assert time.monotonic() < deadline, "the bytes of the second are missing"
            time.sleep(0.5)
        assert reading.written(**wanted) == 111
        # A series that is there for the first must not fall to what the second did.
        assert reading.written(pid=pid, **wanted) in (0, 100, 111)
    finally:
        end(got)
        os.close(file)


def test_room_is_given_back(exporter: Exporter) -> None:
    """After all of them: the last test of this file."""
    recovers(exporter)
