# SPDX-License-Identifier: GPL-2.0-only
"""The packages that the lab needs on this machine, and their installation through apt."""

import os
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.vm.archive import Archive, read_targets
from tests.vm.cells import Arch
from tests.vm.command import LabError, MissingMeansError, run
from tests.vm.progress import Progress

GOOD_QEMU = 10
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
COMMON: dict[str, tuple[str, ...]] = {
    "mmdebstrap": ("mmdebstrap",),
    "mke2fs": ("e2fsprogs",),
    "zstd": ("zstd",),
    "depmod": ("kmod",),
    "git": ("git",),
    "pip3": ("python3-pip",),
}
PACKAGES: dict[str, dict[str, tuple[str, ...]]] = {
    "amd64": {"qemu-system-x86_64": ("qemu-system-x86",), "gcc": ("gcc", "libc6-dev")},
    "arm64": {
        "qemu-system-aarch64": ("qemu-system-arm",),
        "aarch64-linux-gnu-gcc": ("gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"),
    },
}
INSTALL = (
    "apt-get",
    "install",
    "-y",
    "-q",
    "--no-install-recommends",
    "-o",
    "DPkg::Lock::Timeout=300",
)


def missing_packages(arches: Iterable[Arch]) -> list[str]:
    """Return the packages whose programs are not on this machine."""
    path = f"{os.environ.get('PATH', '')}:{SBIN}"
    wanted = dict(COMMON)
    for arch in arches:
        wanted |= PACKAGES[arch.debian]
    gaps = (wanted[tool] for tool in wanted if shutil.which(tool, path=path) is None)
    return [package for packages in gaps for package in packages]


def qemu_major(arch: Arch) -> int:
    """Return the major version of the installed QEMU."""
    text = run([f"qemu-system-{arch.machine}", "--version"], what="asking QEMU for its version")
    found = re.search(r"version (\d+)", text)
    if found is None:
        message = f"cannot read QEMU's version from {text!r}"
        raise LabError(message)
    return int(found[1])


@dataclass(frozen=True, slots=True)
class Host:
    """The machine that runs the lab; `state` is where a second apt configuration may live."""

    archive: Archive
    progress: Progress
    state: Path

    def ensure(self, arches: Iterable[Arch]) -> None:
        """Install what is missing; MissingMeansError when that cannot be done."""
        missing = missing_packages(arches)
        if not missing:
            return
        if os.geteuid() != 0:
            message = f"missing {' '.join(missing)}: install them, or run as root"
            raise MissingMeansError(message)
        try:
            self._install(missing)
        except LabError as error:
            message = f"cannot install {' '.join(missing)}: {error}"
            raise MissingMeansError(message) from error

    def _install(self, packages: Sequence[str]) -> None:
        with self.progress.step("host", "reading package lists"):
            run(["apt-get", "-q", "update"], what="reading the package lists")
        qemu = [name for name in packages if name.startswith("qemu-")]
        others = [name for name in packages if name not in qemu]
        if qemu:
            with self.progress.step("host", f"installing {' '.join(qemu)}"):
                self._install_qemu(qemu)
        if others:
            with self.progress.step("host", f"installing {' '.join(others)}"):
                run([*INSTALL, *others], what="installing packages")

    def _install_qemu(self, packages: Sequence[str]) -> None:
        """Take QEMU from the backports if the release itself has only an old one."""
        policy = run(["apt-cache", "policy", packages[0]], what="asking apt for QEMU")
        candidate = re.search(r"Candidate: (?:\d+:)?(\d+)", policy)
        if candidate and int(candidate[1]) >= GOOD_QEMU:
            run([*INSTALL, *packages], what="installing QEMU")
            return
        try:
            self._install_from_backports(packages)
        except LabError as error:
            self.progress.say("host", f"no newer QEMU from backports: {error}")
            run([*INSTALL, *packages], what="installing QEMU")

    def _install_from_backports(self, packages: Sequence[str]) -> None:
        targets = [target for target in read_targets() if target.uri == self.archive.main]
        backports = f"{targets[0].codename.split('-')[0]}-backports"
        lines = [
            f"deb [signed-by={self.archive.keyring}] {target.uri} {target.release} main"
            for target in read_targets()
        ]
        lines += self.archive.sources(backports)
        options = self._configuration(lines)
        run(["apt-get", "-q", *options, "--error-on=any", "update"], what=f"reading {backports}")
        run([*INSTALL, *options, "-t", backports, *packages], what=f"installing from {backports}")

    def _configuration(self, lines: Sequence[str]) -> list[str]:
        """Return apt options for these sources, beside the machine's own and its lists."""
        for part in ("lists/partial", "cache/archives/partial", "none"):
            (self.state / part).mkdir(parents=True, exist_ok=True)
        sources = self.state / "sources.list"
        sources.write_text("\n".join(dict.fromkeys(lines)) + "\n")
        settings = {
            "Dir::Etc::sourcelist": sources,
            "Dir::Etc::sourceparts": self.state / "none",
            "Dir::State::lists": self.state / "lists",
            "Dir::Cache": self.state / "cache",
            "APT::Sandbox::User": "root",
        }
        return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
