# SPDX-License-Identifier: GPL-2.0-only
"""What this kernel offers, which hooks attach, and what fixes the rest."""

import ctypes
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from fdscope.probes.attach import kprobe_events
from fdscope.probes.doctor.diagnosis import NOTE, OK, PROBLEM, Check, Diagnosis, Trial
from fdscope.probes.kernel import host as capabilities
from fdscope.probes.kernel import limits, preemption
from fdscope.probes.kernel.btf import Btf, BtfError
from fdscope.probes.kernel.host import Host
from fdscope.probes.schema.taxonomy import Mode

_ARCHITECTURES = ("x86_64", "aarch64")
_NEEDED = ("proc and sys", "capabilities", "open files")
"""Checks without which no attach mode is tried."""


def examine(
    host: Host | None = None,
    try_mode: Callable[[Mode], Trial] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Diagnosis:
    """Look at everything, and load and detach each attach mode where the privileges allow it."""
    host = host or Host()
    checks = checks_of(host)
    return Diagnosis(checks, tuple(_trials(host, checks, try_mode or _try_mode, progress)))


def usable_mode(
    host: Host | None = None,
    try_mode: Callable[[Mode], Trial] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Mode | None:
    """The first attach mode that works here; None if none does."""
    host = host or Host()
    trials = _trials(host, checks_of(host), try_mode or _try_mode, progress)
    return next((Mode(trial.mode) for trial in trials if trial.works), None)


def _trials(
    host: Host,
    checks: tuple[Check, ...],
    try_mode: Callable[[Mode], Trial],
    progress: Callable[[str], None],
) -> Iterator[Trial]:
    """Each attach mode, best first; not tried where a check shows that none can work."""
    for mode in preemption.best_first(host):
        if lacking := next((c for c in checks if c.state == PROBLEM and c.name in _NEEDED), None):
            yield Trial(mode.value, None, f"{lacking.name}: {lacking.found}")
            continue
        progress(f"trying {mode.value} mode")
        yield try_mode(mode)


def checks_of(host: Host) -> tuple[Check, ...]:
    """What this machine has, without an attempt to attach."""
    if host.missing():  # the other checks read these file systems
        return (_kernel(host), _file_systems(host))
    return (
        _kernel(host),
        _file_systems(host),
        _privileges(host),
        _pid_namespace(host),
        _open_files(),
        _lockdown(host),
        *_layouts(host),
        _bcc(),
        _libbpf(),
        _numpy(),
        _kprobes(host),
        _jit(host),
        _preemption(host),
    )


def _try_mode(mode: Mode) -> Trial:
    """Attach all hooks of a mode, read the maps once, and detach."""
    try:
        from fdscope.probes.attach.launch import AttachError
        from fdscope.probes.attach.settings import Settings
        from fdscope.probes.read.session import attach
    except ImportError as error:
        return Trial(mode.value, False, str(error))
    try:
        session = attach([mode], Settings())
    except (AttachError, OSError) as error:
        return Trial(mode.value, False, str(error).removeprefix(f"{mode.value}: "))
    try:
        session.snapshot()
    except OSError as error:
        return Trial(mode.value, False, str(error))
    finally:
        session.close()
    map_bytes = sum(session.report.map_bytes.values())
    return Trial(mode.value, True, hooks=session.report.hooks, map_bytes=map_bytes)


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


def _kernel(host: Host) -> Check:
    found = f"Linux {host.release} on {host.machine}"
    if host.machine in _ARCHITECTURES:
        return Check("kernel", OK, found)
    return Check("kernel", PROBLEM, found, f"fdscope knows {' and '.join(_ARCHITECTURES)}")


def _file_systems(host: Host) -> Check:
    found, _, remedy = host.missing().partition(": ")
    if found:
        return Check("proc and sys", PROBLEM, found, remedy)
    return Check("proc and sys", OK, "mounted")


def _pid_namespace(host: Host) -> Check:
    found, _, remedy = host.private_pids().partition(". ")
    if found:
        return Check("pid namespace", PROBLEM, found, remedy)
    return Check("pid namespace", OK, "the host's")


def _open_files() -> Check:
    if why := limits.allow_open_files():
        return Check("open files", PROBLEM, *why.split(": ", 1))
    return Check("open files", OK, f"{limits.OPEN_FILES} or more allowed")


def _privileges(host: Host) -> Check:
    held = capabilities.held(host.proc)
    who = "root" if os.geteuid() == 0 else f"user {os.geteuid()}"
    found = f"{who}, {', '.join(sorted(held)) or 'none that BPF asks for'}"
    if not capabilities.missing(held):
        return Check("capabilities", OK, found)
    remedy = (
        "give the container CAP_BPF and CAP_PERFMON (docker run --privileged)"
        if os.geteuid() == 0
        else "run it as root: sudo fdscope doctor"
    )
    return Check("capabilities", PROBLEM, found, remedy)


def _lockdown(host: Host) -> Check:
    text = _read(host.sys / "kernel/security/lockdown")
    if text is None:
        return Check("lockdown", OK, "not in this kernel, or securityfs is not mounted")
    active = text.partition("[")[2].partition("]")[0]
    if active != "confidentiality":
        return Check("lockdown", OK, active)
    remedy = "boot with lockdown=integrity: BPF programs may not read the kernel in this mode"
    return Check("lockdown", PROBLEM, active, remedy)


def _layouts(host: Host) -> Iterator[Check]:
    """Check the source of the layouts of kernel structs: BTF, or else headers."""
    build = host.modules / host.release / "build"
    headers = next(
        (str(p) for p in (build, host.sys / "kernel/kheaders.tar.xz") if p.exists()), None
    )
    try:
        Btf.read(host.sys / "kernel/btf/vmlinux")
    except BtfError as error:
        remedy = "a kernel with CONFIG_DEBUG_INFO_BTF=y offers more and starts faster"
        yield Check("btf", NOTE, str(error), remedy)
        if headers:
            yield Check("headers", OK, headers)
        else:
            install = f"apt-get install linux-headers-{host.release}"
            yield Check("headers", PROBLEM, "none, and no BTF either", install)
        return
    yield Check("btf", OK, "types and layouts of the running kernel")
    yield Check("headers", OK, f"not needed ({headers or 'not installed'})")


def _bcc() -> Check:
    install = "apt-get install python3-bpfcc, and use the distribution's Python"
    try:
        from fdscope.probes.attach.compiler import LoadError, import_bcc
    except ImportError as error:
        return Check("bcc", NOTE, f"not examined: {error}")
    try:
        bcc = import_bcc()
    except LoadError as error:
        wrong = not isinstance(error.__cause__, ImportError)
        return Check("bcc", PROBLEM, str(error), f"pip uninstall bcc; {install}" * wrong or install)
    except OSError as error:
        return Check("bcc", PROBLEM, f"its library cannot be loaded: {error}", install)
    return Check("bcc", OK, f"{getattr(bcc, '__version__', 'version unknown')} ({bcc.__file__})")


def _libbpf() -> Check:
    try:
        ctypes.CDLL("libbpf.so.1")
    except OSError as error:
        return Check("libbpf", PROBLEM, str(error), "apt-get install libbpf1")
    return Check("libbpf", OK, "libbpf.so.1")


def _numpy() -> Check:
    try:
        import numpy as np
    except ImportError as error:
        return Check("numpy", PROBLEM, str(error), "apt-get install python3-numpy")
    return Check("numpy", OK, np.__version__)


def _kprobes(host: Host) -> Check:
    try:
        why = kprobe_events.why_not(host.sys)
    except PermissionError as error:
        return Check("kprobes", NOTE, f"not examined: {error.strerror}")
    if not why:
        return Check("kprobes", OK, str(kprobe_events.events_file(host.sys)))
    return Check(
        "kprobes", NOTE, why, kprobe_events.MOUNT if why == kprobe_events.NOT_MOUNTED else ""
    )


def _preemption(host: Host) -> Check:
    word = preemption.model(host) or "unknown"
    if not preemption.preempts(host):
        return Check("preemption", OK, word)
    order = ", ".join(mode.value for mode in preemption.best_first(host))
    found = f"{word}: under load only kprobe mode sees everything; the order is {order}"
    return Check("preemption", NOTE, found)


def _jit(host: Host) -> Check:
    value = _read(host.proc / "sys/net/core/bpf_jit_enable")
    if value is None:
        return Check("jit", NOTE, "not in this kernel, or not readable (CONFIG_BPF_JIT)")
    if value == "0":
        remedy = "sysctl net.core.bpf_jit_enable=1: programs run faster, and fentry needs it"
        return Check("jit", NOTE, "off", remedy)
    return Check("jit", OK, "on")
