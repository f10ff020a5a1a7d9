# SPDX-License-Identifier: GPL-2.0-only
"""From names of cgroups to units, as the names become known."""

from collections.abc import Iterator

import pytest

from fdscope.exporter.accounts.units import NO_UNIT, UNKNOWN_UNIT, Units, unit_in
from fdscope.probes.schema.snapshot import Cgroup, Process, ProcessKey

CONTAINER = b"0123456789ab" + b"c" * 52
INNER = b"ba9876543210" + b"d" * 52
ROOT = Cgroup(1, 0, b"")


def unit_of(path: bytes) -> str:
    unit = NO_UNIT
    for name in path.split(b"/"):
        unit = unit_in(unit, name)
    return unit


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        (b"", ""),
        (b"/system.slice/ssh.service", "ssh.service"),
        (b"/user.slice/user-0.slice/user@0.service/app.slice/a.service/x", "a.service"),
        (b"/user.slice/user-0.slice/session-3.scope", "session-3.scope"),
        (b"/system.slice/docker-%s.scope" % CONTAINER, "0123456789ab"),
        (b"/docker/%s" % CONTAINER, "0123456789ab"),
        (b"/kubepods.slice/pod1.slice/cri-containerd-%s.scope" % CONTAINER, "0123456789ab"),
        (b"/docker/%s/init.scope" % CONTAINER, "0123456789ab"),
        (b"/docker/%s/docker/%s/a.service" % (CONTAINER, INNER), "ba9876543210"),
        (b"/a.service/%s" % CONTAINER[:-1], "a.service"),
        (b"/a.service/%s" % (CONTAINER + b"e"), "a.service"),
        (b"/x\xff%s" % CONTAINER, "0123456789ab"),
        (b"/a\xff\n\x1b\xe2\x80\xae.service", "a\\xff\\x0a\\x1b\\u202e.service"),
        (b"/\xf0\x9f\x98\x80.service", "\U0001f600.service"),
        (b"/system.slice", ""),
        (b"/(unknown)", ""),
    ],
)
def test_unit_of_a_path(path: bytes, unit: str) -> None:
    assert unit_of(path) == unit


class Kernel:
    """Fake cgroups and processes, and the number of queries for a process."""

    def __init__(self) -> None:
        self.cgroups = {1: ROOT}
        self.noted: list[Cgroup] = []
        self.living: dict[int, int] = {}
        self.asked: list[int] = []
        self.looked_at = 0

    def make(self, *names: bytes, parent: int = 1) -> int:
        for name in names:
            made = Cgroup(len(self.cgroups) + 1, parent, name)
            self.cgroups[made.id] = made
            parent = made.id
        return parent

    def way_out(self, cgroup: int) -> Iterator[Cgroup]:
        while cgroup:
            self.looked_at += 1
            yield self.cgroups[cgroup]
            cgroup = self.cgroups[cgroup].parent

    def end(self, cgroup: int, levels: int = 32) -> None:
        """A process of this cgroup ends."""
        self.noted += [c for c, _ in zip(self.way_out(cgroup), range(levels), strict=False)]

    def take(self) -> list[Cgroup]:
        noted, self.noted = self.noted, []
        return noted

    def of_process(self, pid: int) -> Iterator[Cgroup]:
        self.asked.append(pid)
        if pid in self.living:
            yield from self.way_out(self.living[pid])


def met(units: Units, pid: int, cgroup: int, exited: bool = False) -> str:
    units.meet({ProcessKey(pid, 1): Process(b"p", cgroup, exited)})
    return units.unit(cgroup)


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


def test_a_living_process_is_asked_for_once(kernel: Kernel) -> None:
    units = Units(kernel)
    kernel.living[7] = service = kernel.make(b"system.slice", b"a.service")
    assert met(units, 7, service) == "a.service"
    assert met(units, 7, service) == "a.service"
    assert kernel.asked == [7]
    assert units.unit(1) == NO_UNIT, "the root is on the way out"


def test_one_that_has_ended_left_its_name(kernel: Kernel) -> None:
    units = Units(kernel)
    container = kernel.make(b"docker", CONTAINER)
    kernel.end(container)
    assert met(units, 7, container, exited=True) == "0123456789ab"
    kernel.cgroups.clear()
    assert met(units, 7, container, exited=True) == "0123456789ab", "kept though it is removed"
    assert not kernel.asked


def test_what_is_not_told_is_unknown_and_not_in_no_unit(kernel: Kernel) -> None:
    now = [0.0]
    units = Units(kernel, lambda: now[0])
    service = kernel.make(b"a.service")
    assert units.unit(service) == UNKNOWN_UNIT != NO_UNIT
    assert met(units, 7, service) == UNKNOWN_UNIT
    assert met(units, 7, service) == UNKNOWN_UNIT
    assert kernel.asked == [7], "not again at once"
    kernel.living[7] = service
    now[0] = 10.0
    assert met(units, 7, service) == "a.service"


def test_a_process_that_moved_meanwhile_names_only_where_it_is(kernel: Kernel) -> None:
    units = Units(kernel)
    before = kernel.make(b"before.service")
    kernel.living[7] = after = kernel.make(b"after.service")
    assert met(units, 7, before) == UNKNOWN_UNIT
    assert units.unit(after) == "after.service"
    kernel.living[7] = before
    assert met(units, 7, before) == "before.service", "asked again at once: it was not refused"


def test_a_deep_tree_goes_as_far_out_as_is_needed(kernel: Kernel) -> None:
    units = Units(kernel)
    deep = kernel.make(b"a.service", *[b"d"] * 3000)
    kernel.living[7] = deep
    assert met(units, 7, deep) == "a.service"
    kernel.looked_at = 0
    kernel.living[8] = deeper = kernel.make(b"x", parent=deep)
    assert met(units, 8, deeper) == "a.service"
    assert kernel.looked_at == 2


def test_names_that_come_in_pieces_are_put_together(kernel: Kernel) -> None:
    """The names of one that has ended go 32 levels out."""
    units = Units(kernel)
    middle = kernel.make(b"a.service", *[b"d"] * 10)
    deep = kernel.make(*[b"d"] * 60, parent=middle)
    kernel.end(deep)
    kernel.end(deep - 32)
    assert met(units, 7, deep, exited=True) == UNKNOWN_UNIT
    kernel.end(deep - 64)
    assert met(units, 7, deep, exited=True) == "a.service"


def test_a_container_needs_no_names_further_out(kernel: Kernel) -> None:
    units = Units(kernel)
    inner = kernel.make(*[b"d"] * 40, CONTAINER, b"a.service")
    kernel.end(inner)
    assert met(units, 7, inner, exited=True) == "0123456789ab"


def test_a_circle_of_names_ends(kernel: Kernel) -> None:
    kernel.noted = [Cgroup(5, 6, b"x"), Cgroup(6, 5, b"y")]
    assert met(Units(kernel), 7, 5, exited=True) == UNKNOWN_UNIT


def test_what_is_looked_up_stays_and_the_rest_makes_room(kernel: Kernel) -> None:
    units = Units(kernel, remembered=100)
    kept = kernel.make(b"kept.service")
    kernel.end(kept)
    first = 0
    for number in range(500):
        other = kernel.make(b"n%d.service" % number)
        first = first or other
        kernel.end(other, levels=2)
        assert met(units, 7, kept, exited=True) == "kept.service"
    assert units.unit(first) == UNKNOWN_UNIT
    assert units.remembered <= 100
