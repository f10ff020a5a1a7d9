# SPDX-License-Identifier: GPL-2.0-only
"""From cgroup paths and ids to units."""

from pathlib import Path

import pytest

from exporter.units import Units, hierarchy, unit_of_path

CONTAINER = "0123456789ab" + "c" * 52


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("", ""),
        ("/system.slice/ssh.service", "ssh.service"),
        ("/user.slice/user-0.slice/user@0.service/app.slice/a.service/x", "a.service"),
        ("/user.slice/user-0.slice/session-3.scope", "session-3.scope"),
        (f"/system.slice/docker-{CONTAINER}.scope", "0123456789ab"),
        (f"/docker/{CONTAINER}", "0123456789ab"),
        (f"/kubepods.slice/kubepods-pod1.slice/cri-containerd-{CONTAINER}.scope", "0123456789ab"),
        ("/system.slice", ""),
    ],
)
def test_unit_of_path(path: str, unit: str) -> None:
    assert unit_of_path(path) == unit


def test_hierarchy(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "30 29 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
        "31 29 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw\n"
    )
    assert hierarchy(mounts) == Path("/sys/fs/cgroup/unified")
    mounts.write_text("")
    assert hierarchy(mounts) is None


def test_a_new_cgroup_is_found_at_the_next_scan(tmp_path: Path) -> None:
    now = [0.0]
    units = Units(tmp_path, lambda: now[0])
    assert units.unit(tmp_path.stat().st_ino) == ""
    late = tmp_path / "system.slice" / "late.service"
    late.mkdir(parents=True)
    assert units.unit(late.stat().st_ino) == "", "not scanned again at once"
    now[0] = 10.0
    assert units.unit(late.stat().st_ino) == "late.service"


def test_without_a_hierarchy_there_are_no_units() -> None:
    assert Units(None).unit(1) == ""
