# SPDX-License-Identifier: GPL-2.0-only
"""The capabilities without which the kernel loads no BPF program."""

from collections.abc import Collection
from pathlib import Path

# include/uapi/linux/capability.h
_BITS = {"CAP_SYS_ADMIN": 21, "CAP_PERFMON": 38, "CAP_BPF": 39}


def held(proc: Path = Path("/proc")) -> set[str]:
    """Those that this process holds, of the ones that matter; OSError where /proc is missing."""
    status = (proc / "self/status").read_text()
    lines = (line.split() for line in status.splitlines() if line.startswith("CapEff:"))
    effective = next((int(line[1], 16) for line in lines), 0)
    return {name for name, bit in _BITS.items() if effective >> bit & 1}


def missing(names: Collection[str]) -> list[str]:
    """Those that who holds ``names`` lacks; CAP_SYS_ADMIN stands for the two others."""
    if "CAP_SYS_ADMIN" in names:
        return []
    return [name for name in ("CAP_PERFMON", "CAP_BPF") if name not in names]
