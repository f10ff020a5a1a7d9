# SPDX-License-Identifier: GPL-2.0-only
"""Finding the preemption model of a kernel, and the order of attach modes."""

import ctypes
import os
import platform
import resource
import struct
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fdscope.probes.kernel.host import Host
from fdscope.probes.kernel.preemption import allow_undisturbed, best_first, model, undisturbed
from fdscope.probes.schema.taxonomy import Mode

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


Scheduling = tuple[int, int, int]
"""Policy, priority and nice value of a thread."""


def scheduling() -> Scheduling:
    nice = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    return os.sched_getscheduler(0), os.sched_getparam(0).sched_priority, nice


def before_during_after(
    policy: int, priority: int, nice: int, prepare: Callable[[], None] = lambda: None
) -> list[Scheduling]:
    """The scheduling around and inside of ``undisturbed``, in a separate thread."""

    def work() -> list[Scheduling]:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
        os.sched_setscheduler(0, policy, os.sched_param(priority))
        prepare()
        before = scheduling()
        with undisturbed():
            with undisturbed():
                pass
            during = scheduling()
        return [before, during, scheduling()]

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def test_undisturbed_where_it_is_not_allowed_changes_nothing() -> None:
    if os.geteuid() == 0:
        pytest.skip("root is allowed to")
    assert len({*before_during_after(os.SCHED_BATCH, 0, 3)}) == 1


root = pytest.mark.skipif(os.geteuid() != 0, reason="only root chooses a real-time policy")


@root
@pytest.mark.parametrize("nice", [-5, 0, 7])
@pytest.mark.parametrize("flag", [0, os.SCHED_RESET_ON_FORK])
@pytest.mark.parametrize("policy", [os.SCHED_OTHER, os.SCHED_BATCH, os.SCHED_IDLE])
def test_undisturbed_is_for_a_moment(policy: int, flag: int, nice: int) -> None:
    """The policy that a unit chose (``CPUSchedulingPolicy=``, ``Nice=``) is back afterwards."""
    before, during, after = before_during_after(policy | flag, 0, nice)
    assert before == after == (policy | flag, 0, nice)
    assert during == (os.SCHED_FIFO | flag, 1, nice)


@root
@pytest.mark.parametrize("flag", [0, os.SCHED_RESET_ON_FORK])
@pytest.mark.parametrize(("policy", "priority"), [(os.SCHED_FIFO, 5), (os.SCHED_RR, 1)])
def test_who_is_real_time_already_keeps_the_priority(policy: int, priority: int, flag: int) -> None:
    same = policy | flag, priority, 0
    assert before_during_after(*same) == [same] * 3


@root
def test_a_deadline_is_kept() -> None:
    """sched_setscheduler() could not give it back."""

    def choose_deadline() -> None:
        runtime, period = 10_000_000, 100_000_000
        # struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period
        attributes = struct.pack("IIQiIQQQ", 48, 6, 0, 0, 0, runtime, period, period)
        number = 274 if platform.machine() == "aarch64" else 314
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syscall(number, 0, attributes, 0) != 0:
            pytest.skip(f"no SCHED_DEADLINE here: {os.strerror(ctypes.get_errno())}")

    before, during, after = before_during_after(os.SCHED_OTHER, 0, 0, choose_deadline)
    assert before == during == after == (6, 0, 0)


@root
@pytest.mark.parametrize("policy", [os.SCHED_OTHER, os.SCHED_BATCH, os.SCHED_IDLE])
def test_undisturbed_without_privileges(policy: int) -> None:
    """What was allowed before the privileges were dropped is allowed afterwards."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setpriority(os.PRIO_PROCESS, 0, 4)
            os.sched_setscheduler(0, policy, os.sched_param(0))
            allow_undisturbed()
            os.setresuid(65534, 65534, 65534)
            with undisturbed():
                during = scheduling()
            if resource.getrlimit(resource.RLIMIT_RTPRIO)[1] == 0:
                os._exit(3)
            fine = during == (os.SCHED_FIFO, 1, 4) and scheduling() == (policy, 0, 4)
            status = 0 if fine else 2
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status == 3:
        pytest.skip("this root may not raise its limits (CAP_SYS_RESOURCE)")
    assert status == 0
