# SPDX-License-Identifier: GPL-2.0-only
"""From names of cgroups to units, as the names become known."""

from collections.abc import Iterator

import pytest

from fdscope.exporter.accounts.units import (
    NO_UNIT,
    NOWHERE,
    UNKNOWN_UNIT,
    Place,
    Runtime,
    Units,
    place_in,
)
from fdscope.probes.schema.snapshot import Cgroup, Process, ProcessKey

CONTAINER = b"0123456789ab" + b"c" * 52
INNER = b"ba9876543210" + b"d" * 52
ROOT = Cgroup(1, 0, b"")


def place_of(path: bytes) -> Place:
    place = NOWHERE
    for name in path.split(b"/"):
        place = place_in(place, name)
    return place


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        (b"", ""),
        (b"/system.slice/ssh.service", "ssh.service"),
        (
            b"/user.slice/user-0.slice/user@0.service/app.slice/a.service/x",
            "user@0.service/a.service",
        ),
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
    assert place_of(path).unit == unit


def test_a_service_of_two_users_is_two_units() -> None:
    path = b"/user.slice/user-%d.slice/user@%d.service/app.slice/dbus.service"
    places = [place_of(path % (uid, uid)) for uid in (1000, 1001)]
    assert [(place.unit, place.user) for place in places] == [
        ("user@1000.service/dbus.service", "1000"),
        ("user@1001.service/dbus.service", "1001"),
    ]
    assert place_of(b"/system.slice/dbus.service").unit == "dbus.service"
    session = place_of(b"/user.slice/user-1000.slice/session-3.scope")
    assert (session.unit, session.user) == ("session-3.scope", "1000")


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        (b"/user.slice/user-7.slice/user@7.service/user@8.service/a.service", "user@7.service/"),
        (b"/user.slice/user-7.slice/user@7.service/lxc/web/a.service", "user@7.service/"),
        (b"/user.slice/user-7.slice/user@7.service/machine-web.scope/a.service", "user@7.service/"),
        (b"/a.service/lxc.payload.web/ssh.service", "a.service/"),
        (b"/a.service/user@8.service/b.service", "b.service"),
        (b"/docker/%s/user@8.service/b.service" % CONTAINER, "0123456789ab"),
    ],
)
def test_nobody_is_taken_for_another_user_or_machine(path: bytes, unit: str) -> None:
    """Users and services can make cgroups of any name, in their own cgroup only."""
    assert place_of(path).unit.startswith(unit)


_POD = "a1b2c3d4-0000-1111-2222-333344445555"
_PODMAN_POD = "4076d0816d5d" + "8" * 52


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("docker/ID", (Runtime.DOCKER, "ID")),
        ("system.slice/docker-ID.scope", (Runtime.DOCKER, "ID")),
        ("system.slice/docker-ID.scope/init.scope", (Runtime.DOCKER, "ID")),
        ("user.slice/user-7.slice/user@7.service/user.slice/docker-ID.scope",
         (Runtime.DOCKER, "ID", "", "7")),
        ("system.slice/system.slice:docker:ID", (Runtime.DOCKER, "ID")),
        ("system.slice/nerdctl-ID.scope", (Runtime.CONTAINERD, "ID")),
        ("default/ID", (Runtime.NONE, "ID")),
        ("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID_.slice/"
         "cri-containerd-ID.scope", (Runtime.CONTAINERD, "ID", _POD)),
        ("kubepods.slice/kubepods-podUID_.slice/crio-ID.scope/container",
         (Runtime.CRI_O, "ID", _POD)),
        ("kubepods/besteffort/podUID/ID", (Runtime.NONE, "ID", _POD)),
        ("kubepods/podUID/crio-ID", (Runtime.CRI_O, "ID", _POD)),
        ("system.slice/containerd.service/kubepods-burstable-podUID_.slice:cri-containerd:ID",
         (Runtime.CONTAINERD, "ID")),
        ("machine.slice/libpod-ID.scope/container", (Runtime.PODMAN, "ID")),
        ("machine.slice/libpod-conmon-ID.scope", (Runtime.PODMAN, "ID")),
        ("libpod_parent/libpod-ID", (Runtime.PODMAN, "ID")),
        ("libpod_parent/PID/libpod-ID", (Runtime.PODMAN, "ID", _PODMAN_POD)),
        ("machine.slice/machine-libpod_pod_PID.slice/libpod-ID.scope/container",
         (Runtime.PODMAN, "ID", _PODMAN_POD)),
        ("user.slice/user-7.slice/user@7.service/user.slice/user-libpod_pod_PID.slice/"
         "libpod-ID.scope", (Runtime.PODMAN, "ID", _PODMAN_POD, "7")),
        ("machine.slice/systemd-nspawn@web.service/payload", (Runtime.NSPAWN, "web")),
        ("machine.slice/systemd-nspawn@web.service/payload/system.slice/a.service",
         (Runtime.NSPAWN, "web")),
        (r"machine.slice/machine-my\x2dweb.scope", (Runtime.NSPAWN, "my-web")),
        (r"machine.slice/machine-qemu\x2d3\x2dvm.scope/libvirt/emulator",
         (Runtime.LIBVIRT, "qemu-3-vm")),
        ("lxc.payload.web/system.slice/a.service", (Runtime.LXC, "web")),
        ("lxc.payload/web/init.scope", (Runtime.LXC, "web")),
        ("lxc/100/ns/system.slice/a.service", (Runtime.LXC, "100")),
        ("docker/ID/kubelet.slice/kubelet-kubepods-podUID_.slice/cri-containerd-NESTED.scope",
         (Runtime.CONTAINERD, "NESTED")),
    ],
)  # fmt: skip
def test_what_the_paths_of_the_runtimes_say(path: str, expected: tuple[Runtime | str, ...]) -> None:
    known = {
        "UID_": _POD.replace("-", "_"),
        "UID": _POD,
        "PID": _PODMAN_POD,
        "NESTED": INNER.decode(),
        "ID": CONTAINER.decode(),
    }
    for word, text in known.items():
        path = path.replace(word, text)
    place = place_of(path.encode())
    runtime, container, *rest = expected
    pod, user = [*rest, "", ""][:2]
    container = known.get(str(container), container)
    assert (place.runtime, place.container, place.pod, place.user) == (
        runtime, container, pod, user,
    )  # fmt: skip


def test_a_service_of_two_machines_is_two_units() -> None:
    units = {
        place_of(path).unit
        for path in (
            b"/system.slice/ssh.service",
            b"/machine.slice/systemd-nspawn@a.service/payload/system.slice/ssh.service",
            b"/machine.slice/machine-b.scope/payload/system.slice/ssh.service",
            b"/lxc.payload.c/system.slice/ssh.service",
            b"/lxc/d/system.slice/ssh.service",
        )
    }
    assert units == {
        "ssh.service",
        "systemd-nspawn@a.service/ssh.service",
        "machine-b.scope/ssh.service",
        "lxc.payload.c/ssh.service",
        "lxc/d/ssh.service",
    }


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


def test_a_container_has_its_pod_where_the_names_further_out_are_known(kernel: Kernel) -> None:
    units = Units(kernel)
    pod = kernel.make(b"kubepods.slice", b"kubepods-pod%s.slice" % _POD.replace("-", "_").encode())
    kernel.living[7] = inner = kernel.make(b"crio-%s.scope" % CONTAINER, b"x", parent=pod)
    assert met(units, 7, inner) == "0123456789ab"
    assert units.place_of("0123456789ab") == Place(
        "0123456789ab", Runtime.CRI_O, CONTAINER.decode(), _POD
    )


def test_a_user_cannot_replace_what_is_known_of_a_unit(kernel: Kernel) -> None:
    units = Units(kernel)
    forged = kernel.make(b"user.slice", b"user-7.slice", b"user@7.service", b"crio-%s" % CONTAINER)
    real = kernel.make(b"docker", CONTAINER)
    for cgroup in (forged, real, forged):
        kernel.end(cgroup)
        met(units, 9, cgroup, exited=True)
    assert units.place_of("0123456789ab").runtime is Runtime.DOCKER
    assert units.place_of("a.service") == Place("a.service"), "not seen yet"


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
