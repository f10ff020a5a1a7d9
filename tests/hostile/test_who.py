# SPDX-License-Identifier: GPL-2.0-only
"""Who a process is: its leading thread's name, also when others give it or the thread has ended."""

import contextlib
import hashlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.actors import actor, end, rename, start
from tests.hostile.answers import WRITTEN, Exporter, Reading
from tests.hostile.cgroups import Subtree, join, remove_empty

ONCE, EVENTS, PIPES, LIMIT = 300_000, 77, 50, 900
"""As tests/workloads/leader.c has them: bytes of one round, descriptors, the limit."""
CENSUS_SECONDS = 25.0


@contextlib.contextmanager
def leader(kind: str, workloads: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The program, when it has done its work and sleeps."""
    command: list[str | Path] = [workloads / "leader", kind, "/var/tmp"]  # noqa: S108
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.read(1) == b"\0"
            yield process
        finally:
            process.kill()


def after_census(exporter: Exporter, pid: int) -> Reading:
    """A scrape that knows the open descriptors of the process."""
    deadline = time.monotonic() + CENSUS_SECONDS
    while True:
        reading = exporter.read()
        if any(reading.rows("fdscope_open_fds", pid=pid)):
            return reading
        assert time.monotonic() < deadline, f"nothing of the open descriptors of {pid}"
        time.sleep(0.5)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("worker-named", "ld-name"), ("itself-named", "ld-name"), ("leader-named", "wk-gives")],
)
def test_names(exporter: Exporter, workloads: Path, kind: str, name: str) -> None:
    with leader(kind, workloads) as process:
        assert Path(f"/proc/{process.pid}/comm").read_text() == f"{name}\n"
        reading = exporter.wait_for("the process", 5, pid=process.pid, process=name)
        # What is done under an earlier name may stay with it, never with a worker's.
        names = {row.labels["process"] for row in reading.rows(WRITTEN, pid=process.pid)}
        assert names <= {"ld-name", name}
        # A name that is given through /proc is a write of so many bytes.
        assert 2 * ONCE <= reading.written(pid=process.pid) <= 2 * ONCE + 16
        counted = after_census(exporter, process.pid)
        rows = counted.rows("fdscope_open_fds", pid=process.pid)
        assert {row.labels["process"] for row in rows} == {name}
    pid = process.pid
    ended = exporter.wait_for("the process after its end", 5, pid=pid, process=name)
    assert 2 * ONCE <= ended.written(pid=pid) <= 2 * ONCE + 16


def test_a_process_whose_leading_thread_has_ended(exporter: Exporter, workloads: Path) -> None:
    drift = {row.labels["fd_type"]: row.value for row in exporter.read().rows("fdscope_fd_drift")}
    with leader("ended", workloads) as process:
        pid = process.pid
        reading = exporter.wait_for("the process", 5, pid=pid, process="ld-name")
        assert reading.written(pid=pid) == 2 * ONCE
        assert reading.total("fdscope_fds_opened_total", pid=pid, birth="pipe") == 2 * PIPES
        counted = after_census(exporter, pid)
        task = next(t for t in Path(f"/proc/{pid}/task").iterdir() if t.name != str(pid))
        truth = len(list((task / "fd").iterdir()))
        assert counted.total("fdscope_open_fds", pid=pid) == truth
        assert counted.total("fdscope_open_fds", pid=pid, fd_type="eventfd") == EVENTS
        assert counted.total("fdscope_max_fds", pid=pid) == LIMIT
        ratios = [row.value for row in counted.rows("fdscope_fd_limit_ratio", process="ld-name")]
        assert ratios == [pytest.approx(truth / LIMIT)]
        seen = counted.total("fdscope_fd_drift", fd_type="eventfd")
        assert abs(seen - drift.get("eventfd", 0)) < EVENTS


def test_threads_and_other_hierarchies_move_nobody(exporter: Exporter, cgroups: Subtree) -> None:
    """A unit is the process's place in the unified hierarchy, and nothing else."""
    home = cgroups.make("home.service")
    with actor(b"at-home", home) as who:
        who.write(10)
        exporter.wait_for("the unit", 5, pid=who.pid, unit="home.service")
        others = [
            Path(os.fsdecode(line.split()[4]))
            for line in Path("/proc/self/mountinfo").read_bytes().split(b"\n")
            if b" - cgroup " in line
        ]
        made = []
        try:
            for other in others:
                inner = other / f"fdscope-test-{os.getpid()}"
                with contextlib.suppress(OSError):  # some take no process without more ado
                    inner.mkdir()
                    made.append(inner)
                    join(inner, who.pid)
            who.write(20)
            reading = exporter.read()
            assert reading.written(pid=who.pid, unit="home.service") == 30
            assert reading.written(pid=who.pid) == 30
        finally:
            for inner in made:
                join(inner.parent, who.pid)
                inner.rmdir()


def test_a_thread_in_a_threaded_cgroup(exporter: Exporter, cgroups: Subtree) -> None:
    home = cgroups.make("threads.service")
    inner = cgroups.make("threads.service/inner.scope")
    Path(os.fsdecode(inner), "cgroup.type").write_text("threaded")

    def work() -> None:
        def move() -> None:
            Path(os.fsdecode(inner), "cgroup.threads").write_text(str(threading.get_native_id()))
            os.write(file, bytes(100))

        rename(b"threaded")
        thread = threading.Thread(target=move)
        thread.start()
        thread.join()
        os.write(file, bytes(200))
        time.sleep(60)

    file = os.open("/var/tmp", os.O_TMPFILE | os.O_RDWR)  # noqa: S108 - without a name
    pid = start(work, home)
    try:
        reading = exporter.wait_for("the process", 5, pid=pid, unit="threads.service")
        deadline = time.monotonic() + 5
        while reading.written(pid=pid) < 300 and time.monotonic() < deadline:
            reading = exporter.read()
        assert reading.written(pid=pid, unit="inner.scope") == 0
        assert reading.written(pid=pid, unit="threads.service") >= 300
    finally:
        end(pid)
        os.close(file)


SHORT = (
    "docker-{id}.scope", "cri-containerd-{id}.scope", "{id}", "libpod-{id}.scope",
    "kubepods-pod1.slice/crio-{id}.scope", "job-{id:.8}.service", "run-{id:.6}.scope",
)  # fmt: skip


@pytest.mark.parametrize("life", [0.0, 0.05, 0.2, 1.5])
def test_short_lives(exporter: Exporter, cgroups: Subtree, life: float) -> None:
    """The bytes of a container that lives for a moment are under its name."""
    file = os.open("/var/tmp", os.O_TMPFILE | os.O_RDWR)  # noqa: S108 - without a name
    units = []

    def work() -> None:
        rename(b"short-life")
        os.write(file, bytes(1000))
        time.sleep(life)

    cgroups.make("kubepods-pod1.slice")
    before = exporter.read().written(process="short-life")
    for number in range(21 if life < 1 else 7):
        identity = hashlib.sha256(f"{os.getpid()} {life} {number}".encode()).hexdigest()
        name = SHORT[number % len(SHORT)].format(id=identity)
        leaf = name.rpartition("/")[2]
        units.append(identity[:12] if identity in leaf else leaf)
        path = cgroups.make(name)
        assert os.waitstatus_to_exitcode(os.waitpid(start(work, path), 0)[1]) == 0
        remove_empty(path)
    os.close(file)
    reading = exporter.read()
    counted = {unit: reading.written(process="short-life", unit=unit) for unit in units}
    assert counted == dict.fromkeys(units, 1000)
    assert reading.written(process="short-life") == before + 1000 * len(units)


def test_a_service_that_restarts(exporter: Exporter, cgroups: Subtree) -> None:
    """The last bytes of the old process are in its own series, which stays for a while."""
    for _ in range(3):
        path = cgroups.make("again.service")
        with actor(b"restarts", path) as old:
            old.write(1000)
            exporter.wait_for("the service", 5, pid=old.pid, unit="again.service")
            old.write(50_000)
            old.exit()
        remove_empty(path)
        path = cgroups.make("again.service")
        with actor(b"restarts", path) as new:
            new.write(7)
            reading = exporter.wait_for("the new one", 5, pid=new.pid, unit="again.service")
            assert reading.written(pid=old.pid, unit="again.service") == 51_000
            assert reading.written(pid=new.pid, unit="again.service") == 7
            time.sleep(6)
            assert exporter.read().written(pid=old.pid, unit="again.service") == 51_000
        remove_empty(path)
