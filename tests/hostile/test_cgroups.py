# SPDX-License-Identifier: GPL-2.0-only
"""Cgroup trees that are deep, closed, endless or many: everybody's unit stays right."""

import os
import time

import pytest

from tests.hostile.actors import STRANGER, Actor, actor, end, rename, start
from tests.hostile.answers import BUDGET, WRITTEN, Exporter
from tests.hostile.cgroups import Subtree, join
from tests.hostile.sizes import CGROUPS, MOVES

LEARNS_SECONDS = 5.0
"""A new unit is known within this time, whatever else is there."""
SCRAPE_SECONDS = 1.0
MOST_MIB = 30.0
"""What the exporter may grow by for cgroups that are no more."""


def right_unit(exporter: Exporter, who: Actor, unit: str) -> None:
    """All of its bytes are under its unit, and nothing failed."""
    reading = exporter.wait_for("the unit", LEARNS_SECONDS, pid=who.pid, unit=unit)
    assert reading.written(pid=who.pid) == who.written
    assert reading.written(pid=who.pid, unit=unit) == who.written
    assert not reading.errors()


@pytest.mark.parametrize("levels", [1100, 3000])
def test_deep_trees(exporter: Exporter, cgroups: Subtree, levels: int) -> None:
    """A process of the ground, one beside the tree, and one that comes when the tree is there."""
    with actor(b"earlier", cgroups.make("earlier.service")) as earlier:
        earlier.write(10)
        right_unit(exporter, earlier, "earlier.service")
        ground = cgroups.deep(levels, b"d", b"ground.service")
        try:
            with (
                actor(b"on-ground", ground) as below,
                actor(b"beside", cgroups.make("beside.service")) as beside,
            ):
                for who in (below, beside, earlier):
                    who.write(5000)
                right_unit(exporter, beside, "beside.service")
                right_unit(exporter, earlier, "earlier.service")
                right_unit(exporter, below, "ground.service")
        finally:
            os.close(ground)


def test_paths_longer_than_the_kernel_takes(exporter: Exporter, cgroups: Subtree) -> None:
    """PATH_MAX is 4096: 20 names of 255 bytes."""
    ground = cgroups.deep(21, b"p" * 255, b"far.service")
    try:
        with (
            actor(b"far", ground) as far,
            actor(b"beside", cgroups.make("beside.service")) as beside,
        ):
            far.write(321)
            beside.write(123)
            right_unit(exporter, beside, "beside.service")
            right_unit(exporter, far, "far.service")
    finally:
        os.close(ground)


def test_directories_that_cannot_be_read(exporter: Exporter, cgroups: Subtree) -> None:
    """The exporter that serves has no rights, and the owner of a cgroup takes them from others."""
    closed = cgroups.make("closed.slice")
    inner = cgroups.make("closed.slice/inner.service")
    os.chown(closed, STRANGER, STRANGER)
    os.chmod(closed, 0)  # noqa: PTH101 - bytes
    with (
        actor(b"in-closed", inner) as hidden,
        actor(b"beside", cgroups.make("beside.service")) as beside,
    ):
        hidden.write(55)
        beside.write(66)
        right_unit(exporter, beside, "beside.service")
        right_unit(exporter, hidden, "inner.service")


def test_many_cgroups(exporter: Exporter, cgroups: Subtree) -> None:
    """Made and removed while others work; none of them is left in the exporter's memory."""
    exporter.read()
    before = exporter.memory_mib()
    base = cgroups.make("many.slice")
    with actor(b"steady", cgroups.make("steady.service")) as steady:
        slowest = 0.0
        for first in range(0, CGROUPS, CGROUPS // 4):
            for number in range(first, first + CGROUPS // 4):
                os.mkdir(b"%s/m%d.service" % (base, number))  # noqa: PTH102 - bytes
            with actor(b"comes", cgroups.make(f"comes{first}.service")) as comes:
                steady.write(100)
                comes.write(200)
                right_unit(exporter, steady, "steady.service")
                right_unit(exporter, comes, f"comes{first}.service")
                slowest = max(slowest, exporter.ask().seconds)
        for number in range(CGROUPS // 4 * 4):
            os.rmdir(b"%s/m%d.service" % (base, number))  # noqa: PTH106 - bytes
        steady.write(100)
        right_unit(exporter, steady, "steady.service")
    time.sleep(3)
    exporter.read()
    assert slowest < SCRAPE_SECONDS
    assert exporter.memory_mib() - before < MOST_MIB


def test_many_units_that_were_used(exporter: Exporter, cgroups: Subtree) -> None:
    """Each has a process that writes and ends: the series are bounded, the sum stays."""
    units = CGROUPS // 10

    def work() -> None:
        rename(b"unit-user")
        for number in range(units):
            path = b"%s/x%d-%d.service" % (base, os.getpid(), number)
            os.mkdir(path)  # noqa: PTH102 - bytes
            join(path, 0)
            os.write(file, bytes(11))
            join(base, 0)
            os.rmdir(path)  # noqa: PTH106 - bytes

    base = cgroups.make("used.slice")
    file = os.open("/var/tmp", os.O_TMPFILE | os.O_RDWR)  # noqa: S108 - without a name
    pid = start(work, base)
    most = 0
    while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0):
        most = max(most, len(exporter.read().samples))
        time.sleep(1)
    os.close(file)
    assert os.waitstatus_to_exitcode(ended[1]) == 0
    reading = exporter.read()
    assert max(most, len(reading.samples)) <= BUDGET
    # The file, and what was written to cgroup.procs: "0", twice.
    assert reading.written(process="unit-user") == units * (11 + 2)
    assert not reading.errors()
    deadline = time.monotonic() + 120
    while (left := len(list(exporter.read().rows(WRITTEN, process="unit-user")))) > 100:
        assert time.monotonic() < deadline, f"{left} series of units that are no more"
        time.sleep(2)


def test_moves(exporter: Exporter, cgroups: Subtree) -> None:
    """A process that changes its cgroup a thousand times a second."""
    paths = [cgroups.make(f"move{number}.service") for number in range(2)]

    def work() -> None:
        rename(b"mover")
        for number in range(MOVES):
            join(paths[number % 2], 0)
            os.write(file, bytes(9))
            time.sleep(0.0005)
        time.sleep(60)

    file = os.open("/var/tmp", os.O_TMPFILE | os.O_RDWR)  # noqa: S108 - without a name
    pid = start(work, paths[0])
    try:
        deadline = time.monotonic() + 60
        while (reading := exporter.read()).written(process="mover") < MOVES * 10:
            assert time.monotonic() < deadline, "bytes of the mover are missing"
            time.sleep(1)
        assert reading.written(process="mover") == MOVES * 10  # with "0" for each move
        series = list(reading.rows(WRITTEN, process="mover", fd_type="regular"))
        assert {row.labels["unit"] for row in series} <= {"move0.service", "move1.service"}
        assert len(series) <= 8
        assert not reading.errors()
    finally:
        end(pid)
        os.close(file)
