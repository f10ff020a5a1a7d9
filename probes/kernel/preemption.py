# SPDX-License-Identifier: GPL-2.0-only
"""Preemption: what the kernel skips if a task loses the CPU in a program or while reading a map.

The kernel does not start a fentry program (nor, since Linux 7.0, a raw tracepoint program) on a CPU
where another task was interrupted in the middle of the same program. Until that task continues, the
program sees nothing there. Where tasks preempt the kernel, kprobe programs are exact and are tried
first. The kernel does not start these while a task on that CPU works on any BPF map.
"""

import gzip
import os
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fdscope.probes.kernel.host import Host
from fdscope.probes.schema.taxonomy import Mode

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
"""The architectures that fdscope knows have only the models lazy and full since
Linux kernel commit 7dadeaa6e851 ("sched: Further restrict the preemption modes") (in v7.0)."""
_PRIORITY = 1
_SCHED_DEADLINE = 6
"""Linux has it; the module ``os`` has no name for it."""
_ABOVE_ORDINARY = (os.SCHED_FIFO, os.SCHED_RR, _SCHED_DEADLINE)


def _text(path: Path) -> str:
    with suppress(OSError):
        return gzip.open(path, "rt").read() if path.suffix == ".gz" else path.read_text()
    return ""


def _configured(host: Host) -> str:
    """The model that the kernel was built with; empty if its configuration is not found."""
    places = (
        host.proc / "config.gz",
        host.boot / f"config-{host.release}",
        host.modules / host.release / "config",
    )
    for place in places:
        for name in _CONFIGURED.findall(_text(place)):
            if name in _CONFIGURED_AS:
                return _CONFIGURED_AS[name]
    return ""


def model(host: Host | None = None) -> str:
    """The preemption model: ``none``, ``voluntary``, ``lazy`` or ``full``; empty if unknown."""
    host = host or Host()
    if chosen := re.search(r"\((\w+)\)", _text(host.sys / "kernel/debug/sched/preempt")):
        return chosen[1]
    if re.search(r"PREEMPT(?!_DYNAMIC)", host.version):
        return "full"
    if "PREEMPT_DYNAMIC" not in host.version:
        return "voluntary"
    arguments = _text(host.proc / "cmdline").split()
    asked = [a.removeprefix("preempt=") for a in arguments if a.startswith("preempt=")]
    return next((word for word in reversed(asked) if word in _PREEMPTED), _configured(host))


def preempts(host: Host | None = None) -> bool:
    """True if a task can lose the CPU to another one wherever it is in the kernel."""
    host = host or Host()
    major = int(host.release.partition(".")[0])
    return _PREEMPTED.get(model(host), major >= _ALWAYS_SINCE)


def best_first(host: Host | None = None) -> tuple[Mode, ...]:
    """The attach modes in the order in which to try them, best first."""
    if preempts(host):
        return (Mode.KPROBE, Mode.FENTRY, Mode.TRACEPOINT)
    return (Mode.FENTRY, Mode.KPROBE, Mode.TRACEPOINT)


def allow_undisturbed() -> None:
    """Allow ``undisturbed`` to this process also after it has given up its privileges.

    RLIMIT_NICE is what the kernel asks for where the policy is SCHED_IDLE.
    """
    nice = 20 - os.getpriority(os.PRIO_PROCESS, 0)
    for limit, needed in ((resource.RLIMIT_RTPRIO, _PRIORITY), (resource.RLIMIT_NICE, nice)):
        _, most = resource.getrlimit(limit)
        if most != resource.RLIM_INFINITY:
            with suppress(ValueError, OSError):
                resource.setrlimit(limit, (max(most, needed),) * 2)


@contextmanager
def undisturbed() -> Iterator[None]:
    """No ordinary task takes the CPU from this thread meanwhile, where that is allowed.

    For what takes milliseconds: a look at BPF maps. Afterwards the thread has the scheduling
    policy and the priority that it had before; one that is real-time already keeps them.
    """
    try:
        policy, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
        flag = policy & os.SCHED_RESET_ON_FORK
        ordinary = policy ^ flag not in _ABOVE_ORDINARY
        if ordinary:
            os.sched_setscheduler(0, os.SCHED_FIFO | flag, os.sched_param(_PRIORITY))
    except OSError:
        ordinary = False
    try:
        yield
    finally:
        if ordinary:
            os.sched_setscheduler(0, policy, parameter)
