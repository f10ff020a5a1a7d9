# SPDX-License-Identifier: GPL-2.0-only
"""The files and names by which a machine describes itself."""

import platform
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

_INITIAL_PID_NAMESPACE = "pid:[4026531836]"
"""include/linux/proc_ns.h: PROC_PID_INIT_INO."""


@dataclass(frozen=True, slots=True)
class Host:
    """The running machine; tests give other places."""

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    modules: Path = Path("/lib/modules")
    boot: Path = Path("/boot")
    release: str = field(default_factory=platform.release)
    version: str = field(default_factory=platform.version)
    machine: str = field(default_factory=platform.machine)

    def missing(self) -> str:
        """Which of the kernel's own file systems is not mounted, and what to do; else empty."""
        if not _is_there(self.proc / "self/status"):
            return f"{self.proc} is missing or empty: mount it (mount -t proc proc {self.proc})"
        if not _is_there(self.sys / "kernel"):
            return f"{self.sys} is missing or empty: mount it (mount -t sysfs sysfs {self.sys})"
        return ""

    def private_pids(self) -> str:
        """Why the process ids here are not the kernel's own, and what to do; empty if they are.

        OSError if /proc is missing.
        """
        lines = (self.proc / "self/status").read_text().splitlines()
        numbers = next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])
        try:
            namespace = str((self.proc / "self/ns/pid").readlink())
        except FileNotFoundError:  # a kernel without such namespaces
            namespace = _INITIAL_PID_NAMESPACE
        if len(numbers) <= 1 and namespace == _INITIAL_PID_NAMESPACE:
            return ""
        return (
            "fdscope needs the host's pid namespace: in a container's own, it cannot tell which"
            " processes live and which bytes are its own. Start the container with the host's"
            " (docker run --pid=host; hostPID: true in Kubernetes)"
        )


def _is_there(path: Path) -> bool:
    """Path.exists() raises, until Python 3.14, where we may not even look."""
    try:
        path.stat()
    except OSError:
        return False
    return True


# The capabilities without which the kernel loads no BPF program.

# include/uapi/linux/capability.h
_BITS = {"CAP_SYS_ADMIN": 21, "CAP_PERFMON": 38, "CAP_BPF": 39}


def held(proc: Path = Path("/proc")) -> set[str]:
    """Capabilities of this process, as far as BPF needs them; OSError if /proc is missing."""
    status = (proc / "self/status").read_text()
    lines = (line.split() for line in status.splitlines() if line.startswith("CapEff:"))
    effective = next((int(line[1], 16) for line in lines), 0)
    return {name for name, bit in _BITS.items() if effective >> bit & 1}


def missing(names: Collection[str]) -> list[str]:
    """Capabilities missing from ``names``; CAP_SYS_ADMIN includes the two others."""
    if "CAP_SYS_ADMIN" in names:
        return []
    return [name for name in ("CAP_PERFMON", "CAP_BPF") if name not in names]
