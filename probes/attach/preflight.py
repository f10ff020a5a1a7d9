# SPDX-License-Identifier: GPL-2.0-only
"""Preflight: finds at once that an attach mode cannot work here, before compiling takes seconds."""

import errno
import os
import platform
from pathlib import Path

from fdscope.probes.attach import kprobe_events, kprobe_multi
from fdscope.probes.kernel import libbpf
from fdscope.probes.kernel.btf import VMLINUX, Btf
from fdscope.probes.kernel.libbpf import ProgramKind
from fdscope.probes.schema.taxonomy import Mode

_TRIED_FUNCTION = "vfs_read"
"""Without a hook on it no mode of functions can be used."""
_KERNEL_HEADERS = (
    Path(f"/lib/modules/{platform.release()}/build"),
    Path("/sys/kernel/kheaders.tar.xz"),
)


def _attach_nothing_to(function_id: int) -> None:
    """Attach a fexit program that does nothing and detach it; OSError where that is refused."""
    program = libbpf.load(b"trial", *libbpf.NOTHING, ProgramKind.FEXIT, function_id)
    try:
        os.close(libbpf.attach_function(program))
    finally:
        os.close(program)


def _of_fentry(btf: Btf | None, no_btf: str) -> str:
    if btf is None:
        return f"it needs the kernel's BTF (CONFIG_DEBUG_INFO_BTF), which is not there: {no_btf}"
    function_id = btf.function_id(_TRIED_FUNCTION)
    if function_id is None:
        return f"{_TRIED_FUNCTION}: this kernel has no such function"
    try:
        _attach_nothing_to(function_id)
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, error.errno)
        even = ", even as root" if error.errno == errno.EPERM and not os.geteuid() else ""
        return f"{_TRIED_FUNCTION}: {error.strerror or error} ({name}){even}"
    return ""


def _of_layouts(btf: Btf | None, no_btf: str) -> str:
    if btf is not None or any(path.exists() for path in _KERNEL_HEADERS):
        return ""
    return (
        f"the kernel shows no BTF ({no_btf}) and its headers are not installed:"
        f" install linux-headers-{platform.release()}"
    )


def _of_kprobes(btf: Btf | None) -> str:
    if kprobe_multi.work(btf):
        return ""
    if not kprobe_events.may_attach():
        return kprobe_events.NOT_ALLOWED
    try:
        why = kprobe_events.why_not()
    except PermissionError:
        return ""
    return f"{why} ({kprobe_events.MOUNT})" if why == kprobe_events.NOT_MOUNTED else why


def why_not(mode: Mode, btf: Btf | None, no_btf: str = f"no {VMLINUX}") -> str:
    """Why the mode cannot be used; empty if only attaching can show it.

    ``no_btf`` says why there is no ``btf``.
    """
    if mode is Mode.FENTRY:
        return _of_fentry(btf, no_btf)
    return _of_layouts(btf, no_btf) or (_of_kprobes(btf) if mode is Mode.KPROBE else "")
