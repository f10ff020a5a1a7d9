# SPDX-License-Identifier: GPL-2.0-only
"""BCC: the only importer of ``bcc``."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from fdscope.probes.attach import source
from fdscope.probes.attach.settings import Settings
from fdscope.probes.kernel import kheaders
from fdscope.probes.kernel.btf import Btf
from fdscope.probes.kernel.struct_layouts import LayoutError
from fdscope.probes.schema.taxonomy import Mode


class LoadError(Exception):
    """A mode that cannot be used here; the text says why."""


def import_bcc() -> Any:
    """The distribution's ``bcc``; LoadError says what to install where it is not there."""
    try:
        import bcc
    except ImportError as error:
        raise LoadError(
            f"the Python package bcc cannot be imported ({error}): install python3-bpfcc and use"
            " the distribution's Python with its site packages"
        ) from error
    if not hasattr(bcc, "BPF"):
        raise LoadError(
            f"{bcc.__file__} is not the BPF Compiler Collection but another package of that name:"
            " remove it (pip uninstall bcc) and install python3-bpfcc"
        )
    return bcc


def compiled(mode: Mode, settings: Settings, btf: Btf | None, by_fprobe: bool) -> Any:
    """A ``bcc.BPF`` of the mode's text, nothing of it loaded.

    ``by_fprobe``: its programs will be attached by ``probes.attach.kprobe_multi``.
    LoadError if the compiler or the kernel's layouts refuse. Without BTF it needs the headers.
    """
    bcc = import_bcc()

    class Module(bcc.BPF):  # type: ignore[misc, name-defined]  # bcc has no types
        def _trace_autoload(self) -> None:
            """Nothing: BCC would attach all functions, and fail all if one fails."""

    if btf is not None:
        os.environ["BCC_KERNEL_SOURCE"] = str(source.STUB_DIR)
    elif not Path(f"/lib/modules/{platform.release()}/build").exists():
        try:
            kheaders.unpack()
        except (OSError, subprocess.SubprocessError) as error:
            raise LoadError(f"the kernel's own headers cannot be used: {error}") from error
    flags = [
        f"-I{source.BPF_DIR}",
        f"-DMACHINE_{platform.machine()}=1",
        "-Wno-unused-function",
    ]
    try:
        return Module(text=source.text(mode, settings, btf, by_fprobe).encode(), cflags=flags)
    except LayoutError as error:
        raise LoadError(str(error)) from error
    except Exception as error:  # bcc raises nothing more precise
        raise LoadError(f"BCC cannot compile the programs: {error}") from error
