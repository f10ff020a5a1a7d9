# SPDX-License-Identifier: GPL-2.0-only
"""Tasks that take the CPU from the kernel, in the middle of a probe or of a look at its maps.

The kernel does not start a fentry program, nor since Linux 7.0 one of a raw tracepoint, on a CPU
where another task was interrupted in the middle of the same program: whatever runs there until that
task goes on is not seen by it. Where tasks preempt the kernel, kprobe programs are exact, and come
first. These the kernel does not start while a task on that CPU is at work on any BPF map.
"""

import gzip
import os
import platform
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from probes.taxonomy import Mode

_PREEMPTED = {"none": False, "voluntary": False, "lazy": True, "full": True}
_CONFIGURED = re.compile(r"^CONFIG_PREEMPT(_[A-Z]+)?=y$", re.MULTILINE)
_CONFIGURED_AS = {
    "": "full",
    "_RT": "full",
    "_LAZY": "lazy",
    "_VOLUNTARY": "voluntary",
    "_NONE": "none",
}
_ALWAYS_SINCE = 7
"""Linux 7.0 has only the models lazy and full on the architectures that fdscope knows."""
_PRIORITY = 1


@dataclass(frozen=True, slots=True)
class Kernel:
    """Where a kernel tells its preemption model; tests give other places."""

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    modules: Path = Path("/lib/modules")
    boot: Path = Path("/boot")
    release: str = field(default_factory=platform.release)
    version: str = field(default_factory=platform.version)


def _text(path: Path) -> str:
    with suppress(OSError):
        return gzip.open(path, "rt").read() if path.suffix == ".gz" else path.read_text()
    return ""


def _configured(kernel: Kernel) -> str:
    """The model that the kernel was built with; empty if its configuration is nowhere."""
    places = (
        kernel.proc / "config.gz",
        kernel.boot / f"config-{kernel.release}",
        kernel.modules / kernel.release / "config",
    )
    for place in places:
        for name in _CONFIGURED.findall(_text(place)):
            if name in _CONFIGURED_AS:
                return _CONFIGURED_AS[name]
    return ""


def model(kernel: Kernel | None = None) -> str:
    """The preemption model: ``none``, ``voluntary``, ``lazy`` or ``full``; empty if not told."""
    kernel = kernel or Kernel()
    if chosen := re.search(r"\((\w+)\)", _text(kernel.sys / "kernel/debug/sched/preempt")):
        return chosen[1]
    if re.search(r"PREEMPT(?!_DYNAMIC)", kernel.version):
        return "full"
    if "PREEMPT_DYNAMIC" not in kernel.version:
        return "voluntary"
    arguments = _text(kernel.proc / "cmdline").split()
    asked = [a.removeprefix("preempt=") for a in arguments if a.startswith("preempt=")]
    return next((word for word in reversed(asked) if word in _PREEMPTED), _configured(kernel))


def preempts(kernel: Kernel | None = None) -> bool:
    """True if a task can lose the CPU to another one wherever it is in the kernel."""
    kernel = kernel or Kernel()
    major = int(kernel.release.partition(".")[0])
    return _PREEMPTED.get(model(kernel), major >= _ALWAYS_SINCE)


def best_first(kernel: Kernel | None = None) -> tuple[Mode, ...]:
    """The attach modes, in the order in which they are to be tried here."""
    if preempts(kernel):
        return (Mode.KPROBE, Mode.FENTRY, Mode.TRACEPOINT)
    return tuple(Mode)


def allow_undisturbed() -> None:
    """Let this process use ``undisturbed`` also when it has given up its privileges."""
    _, most = resource.getrlimit(resource.RLIMIT_RTPRIO)
    with suppress(ValueError, OSError):
        wanted = max(most, _PRIORITY)
        resource.setrlimit(resource.RLIMIT_RTPRIO, (wanted, wanted))


@contextmanager
def undisturbed() -> Iterator[None]:
    """No ordinary task takes the CPU from this thread meanwhile, where that is allowed.

    For what takes milliseconds: a look at BPF maps.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))
    except OSError:
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
