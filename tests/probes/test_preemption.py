# SPDX-License-Identifier: GPL-2.0-only
"""Where a kernel tells whether tasks preempt it, and what follows for the attach modes."""

import os
from pathlib import Path

import pytest

from probes.host import Host
from probes.preemption import best_first, model, undisturbed
from probes.taxonomy import Mode

DYNAMIC = "#1 SMP PREEMPT_DYNAMIC Debian 6.12.117-1 (2026-11-15)"
BUILT_LAZY = "CONFIG_PREEMPT_BUILD=y\n# CONFIG_PREEMPT is not set\nCONFIG_PREEMPT_LAZY=y\n"
BUILT_VOLUNTARY = "CONFIG_PREEMPT_VOLUNTARY=y\nCONFIG_PREEMPT_DYNAMIC=y\nCONFIG_PREEMPT_RCU=y\n"


def kernel(root: Path, release: str = "6.12.1", version: str = DYNAMIC, **files: str) -> Host:
    places = {
        "debugfs": "sys/kernel/debug/sched/preempt",
        "cmdline": "proc/cmdline",
        "boot": f"boot/config-{release}",
        "modules": f"lib/modules/{release}/config",
    }
    for name, text in files.items():
        path = root / places[name]
        path.parent.mkdir(parents=True)
        path.write_text(text)
    proc, sys, modules, boot = (root / name for name in ("proc", "sys", "lib/modules", "boot"))
    return Host(proc, sys, modules, boot, release, version)


@pytest.mark.parametrize(
    ("files", "word"),
    [
        ({"debugfs": "none (voluntary) full lazy\n", "cmdline": "preempt=full"}, "voluntary"),
        ({"debugfs": "full (lazy)\n", "boot": BUILT_VOLUNTARY}, "lazy"),
        ({"cmdline": "quiet preempt=none preempt=full", "boot": BUILT_VOLUNTARY}, "full"),
        ({"cmdline": "preempt=sometimes", "boot": BUILT_VOLUNTARY}, "voluntary"),
        ({"cmdline": "quiet", "modules": BUILT_LAZY}, "lazy"),
        ({}, ""),
    ],
)
def test_of_a_kernel_that_can_choose(tmp_path: Path, files: dict[str, str], word: str) -> None:
    assert model(kernel(tmp_path, **files)) == word


@pytest.mark.parametrize(
    ("version", "word"),
    [
        ("#1 SMP Debian 5.10.262-1 (2026-11-15)", "voluntary"),
        ("#1 SMP PREEMPT Tue Nov 3 2026", "full"),
        ("#1 SMP PREEMPT_RT Debian 6.12.117-1", "full"),
    ],
)
def test_of_a_kernel_that_cannot(tmp_path: Path, version: str, word: str) -> None:
    assert model(kernel(tmp_path, version=version, cmdline="preempt=none")) == word


def test_kprobe_mode_comes_first_where_tasks_preempt_the_kernel(tmp_path: Path) -> None:
    lazy = kernel(tmp_path / "lazy", debugfs="full (lazy)")
    assert best_first(lazy)[0] is Mode.KPROBE
    assert best_first(kernel(tmp_path / "new", release="7.0.0-rc1"))[0] is Mode.KPROBE
    assert best_first(kernel(tmp_path / "old")) == tuple(Mode)
    assert {*best_first(lazy)} == {*Mode}


def test_undisturbed_is_for_a_moment() -> None:
    before = os.sched_getscheduler(0)
    with undisturbed():
        during = os.sched_getscheduler(0)
    assert during == (os.SCHED_FIFO if os.geteuid() == 0 else before)
    assert os.sched_getscheduler(0) == before
