# SPDX-License-Identifier: GPL-2.0-only
"""The matrix: which kernel meets which Debian release (and so which BCC)."""

from dataclasses import dataclass

MODES = ("fentry", "kprobe", "tracepoint")


@dataclass(frozen=True, slots=True)
class Arch:
    """A processor architecture, by the names that its tools use."""

    debian: str
    machine: str
    triplet: str

    @property
    def compiler(self) -> str:
        """The C compiler that makes programs for this architecture."""
        return "gcc" if self == AMD64 else f"{self.triplet}-gcc"


AMD64 = Arch("amd64", "x86_64", "x86_64-linux-gnu")
ARM64 = Arch("arm64", "aarch64", "aarch64-linux-gnu")


@dataclass(frozen=True, slots=True)
class Cell:
    """One machine of the matrix.

    `kernel` and `root` are Debian suites, `flavour` is that of the kernel; `limit` is in
    seconds, for each mode; `memory` is in MiB. With `headers` the guest has the kernel's real
    headers and /sys/kernel/btf is hidden.
    """

    name: str
    kernel: str
    root: str
    about: str
    flavour: str = "cloud"
    arch: Arch = AMD64
    modes: tuple[str, ...] = MODES
    cpus: int = 1
    memory: int = 4096
    limit: int = 1500
    headers: bool = False


CELLS = (
    Cell("6.12", "trixie", "trixie", "current stable; the default"),
    Cell("newest", "trixie-backports", "trixie", "newest kernel of the archive"),
    Cell("6.1", "bookworm", "bookworm", "previous stable"),
    Cell("5.10", "bullseye", "bookworm", "oldest kernel, next release's BCC"),
    Cell("testing", "forky", "forky", "kernel and BCC of the next release"),
    Cell("newest-sid", "trixie-backports", "sid", "newest kernel, newest BCC"),
    Cell("newest-bookworm", "trixie-backports", "bookworm", "newest kernel, oldest BCC"),
    Cell("6.12-bookworm", "bookworm-backports", "bookworm", "backported kernel, its release's BCC"),
    Cell("6.12-smp", "trixie", "trixie", "two processors: per-CPU maps are summed", cpus=2),
    Cell("6.12-rt", "trixie", "trixie", "real-time kernel: all is preempted", flavour="rt"),
    Cell(
        "headers",
        "bookworm",
        "bookworm",
        "real kernel headers, BTF hidden",
        modes=("kprobe", "tracepoint"),
        limit=1800,
        headers=True,
    ),
    Cell("arm64", "trixie", "trixie", "64-bit Arm, emulated", arch=ARM64, limit=1800),
    Cell(
        "arm64-newest", "trixie-backports", "trixie", "newest on 64-bit Arm", arch=ARM64, limit=1800
    ),
)
