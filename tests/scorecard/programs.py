# SPDX-License-Identifier: GPL-2.0-only
"""Compiles the C programs of tests/workloads; the lab of virtual machines uses it for its guests.

Standard library only, because the lab runs without the project's environment.
"""

import shutil
import subprocess
from pathlib import Path

from tests.paths import BUILD, ROOT

SOURCES = ROOT / "tests/workloads"
BUILT = BUILD / "workloads"
OPTIONS = ("-static", "-O2", "-pthread")
"""Static: a dynamic loader reads files by itself, and the same program runs on every userland."""
FREESTANDING = ("-static", "-O2", "-m32", "-nostdlib", "-ffreestanding", "-fno-stack-protector")
"""Of 32-bit programs, which bring their own start and system calls: no 32-bit libc is needed."""
COMPAT = "_i386"


def sources(machine: str) -> list[Path]:
    """The programs that can be built for ``uname -m``; 32-bit ones on x86 only."""
    found = sorted(SOURCES.glob("*.c"))
    return [path for path in found if machine == "x86_64" or not path.stem.endswith(COMPAT)]


def command(source: Path, target: Path, compiler: str = "gcc") -> list[str | Path]:
    """The compiler's command."""
    options = FREESTANDING if source.stem.endswith(COMPAT) else OPTIONS
    return [compiler, *options, "-o", target, source]


def compiler_is_here() -> bool:
    """False in the guests of the lab, which get the programs compiled."""
    return shutil.which("gcc") is not None


def build(machine: str) -> None:
    """Compile what is missing or older than its sources; CalledProcessError if that fails."""
    BUILT.mkdir(parents=True, exist_ok=True)
    headers = max(path.stat().st_mtime for path in SOURCES.glob("*.h"))
    for source in sources(machine):
        target = BUILT / source.stem
        newest = max(source.stat().st_mtime, headers)
        if not target.exists() or target.stat().st_mtime < newest:
            subprocess.run(command(source, target), check=True)
