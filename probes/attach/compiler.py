# SPDX-License-Identifier: GPL-2.0-only
"""BCC: the only importer of ``bcc``."""

import hashlib
import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fdscope.probes.attach import maps, objects, source
from fdscope.probes.attach.cache import Cache, CacheError
from fdscope.probes.attach.objects import Object
from fdscope.probes.attach.settings import Settings
from fdscope.probes.kernel import kheaders
from fdscope.probes.kernel.btf import VMLINUX, Btf
from fdscope.probes.kernel.struct_layouts import LayoutError
from fdscope.probes.schema.taxonomy import Mode

_FORMAT = "1"
"""Of what is kept: another for each change of what ``Object`` holds."""


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


def _flags() -> list[str]:
    return [
        f"-I{source.BPF_DIR}",
        f"-DMACHINE_{platform.machine()}=1",
        "-Wno-unused-function",
        "-g0",  # nothing reads what BCC would write for debuggers, at a quarter of its time
    ]


def _text(mode: Mode, settings: Settings, btf: Btf | None, by_fprobe: bool) -> bytes:
    try:
        return source.text(mode, settings, btf, by_fprobe).encode()
    except LayoutError as error:
        raise LoadError(str(error)) from error


def _compiled(text: bytes, btf: Btf | None) -> Object:
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
    try:
        module = Module(text=text, cflags=_flags())
        try:
            return objects.of_module(module.module, bcc.lib, bcc.__version__, maps.ADDRESSES)
        finally:
            module.cleanup()  # its maps too: others are made when the programs are loaded
    except Exception as error:  # bcc raises nothing more precise
        raise LoadError(f"BCC cannot compile the programs: {error}") from error


def compiled(mode: Mode, settings: Settings, btf: Btf | None, by_fprobe: bool) -> Object:
    """The programs of a mode, nothing of them loaded.

    ``by_fprobe``: they will be attached by ``probes.attach.kprobe_multi``.
    LoadError if the compiler or the kernel's layouts refuse. Without BTF it needs the headers.
    """
    return _compiled(_text(mode, settings, btf, by_fprobe), btf)


def _compiler() -> Iterator[str]:
    """What tells one compiler from another: the files of its libraries that are loaded."""
    yield str(import_bcc().__version__)
    for line in sorted(set(Path("/proc/self/maps").read_text().splitlines())):
        path = line.partition("/")[2]
        if path.rpartition("/")[2].startswith(("libbcc", "libLLVM", "libclang")):
            status = Path(f"/{path}").stat()
            yield f"{path} {status.st_ino} {status.st_size} {status.st_mtime_ns}"


def _name(text: bytes) -> str:
    """A hash over all that the compiled programs depend on, for a kernel that has BTF."""
    parts = [
        _FORMAT.encode(),
        text,
        *(flag.encode() for flag in _flags()),
        *(part.encode() for part in dict.fromkeys(_compiler())),
        *(part.encode() for part in platform.uname()),
        VMLINUX.read_bytes(),
    ]
    for header in sorted(source.BPF_DIR.rglob("*.h")):
        parts += [str(header.relative_to(source.BPF_DIR)).encode(), header.read_bytes()]
    lengths = ",".join(str(len(part)) for part in parts).encode()
    return hashlib.sha256(b"".join((lengths, *parts))).hexdigest()


def obtained(
    mode: Mode, settings: Settings, btf: Btf | None, by_fprobe: bool
) -> tuple[Object, str]:
    """The programs as from ``compiled``, and where they are from, for the log.

    They are kept in the directory of the settings, if it can be used, and taken from there.
    """
    text = _text(mode, settings, btf, by_fprobe)
    # Without BTF they depend on all headers of the kernel; an excluded process is in the text.
    if not settings.cache or btf is None or settings.exclude_tgid is not None:
        return _compiled(text, btf), "compiled"
    cache, name, why = Cache(Path(settings.cache)), _name(text), ""
    try:
        found = cache.get(name)
        if found:
            return found, f"compiled before, from {settings.cache}"
    except CacheError as error:
        why = f"compiled, for what was kept cannot be used: {error}"
    made = _compiled(text, btf)
    try:
        cache.put(name, made)
    except CacheError as error:
        why = why or f"compiled, and not kept: {error}"
    return made, why or f"compiled, and kept in {settings.cache}"
