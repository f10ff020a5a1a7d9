# SPDX-License-Identifier: GPL-2.0-only
"""The package archive that this machine's own apt is configured with."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.vm.command import MissingMeansError, run

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SECURITY = "-security"
ROLLING = frozenset({"forky", "sid"})
HOW_TO_CHOOSE = (
    "set FDSCOPE_VM_MIRROR to the URI of a Debian mirror, and install the package "
    "debian-archive-keyring"
)


@dataclass(frozen=True, slots=True)
class Target:
    """One package index that apt is configured with."""

    uri: str
    release: str
    codename: str
    component: str


@dataclass(frozen=True, slots=True)
class Archive:
    """Where packages come from: the main archive, the security archive if any."""

    main: str
    security: str | None
    keyring: Path

    def sources(self, suite: str) -> list[str]:
        """Return apt's source lines for a suite, with its security updates."""
        lines = [self._line(self.main, suite)]
        stable = "-" not in suite and suite not in ROLLING
        if self.security and stable:
            lines.append(self._line(self.security, suite + SECURITY))
        return lines

    def _line(self, uri: str, suite: str) -> str:
        options = [f"signed-by={self.keyring}"]
        if suite in ROLLING:  # mirrors may hold a rolling suite past its Release file's short life
            options.append("check-valid-until=no")
        return f"deb [{' '.join(options)}] {uri} {suite} main"


def configured_targets() -> list[Target]:
    """Return the Debian package indexes that this machine's apt knows."""
    wanted = "$(REPO_URI) $(RELEASE) $(CODENAME) $(COMPONENT) $(ORIGIN)"
    listing = run(
        ["apt-get", "indextargets", "--format", wanted, "Created-By: Packages"],
        what="asking apt for its archives",
    )
    rows = [line.split() for line in listing.splitlines()]
    return [Target(*row[:4]) for row in rows if row[4:] == ["Debian"]]


def read_targets() -> list[Target]:
    """Return apt's Debian indexes, fetching its package lists first if it has none."""
    targets = configured_targets()
    if not targets and os.geteuid() == 0:
        run(["apt-get", "update"], what="reading the package lists")
        targets = configured_targets()
    return targets


def find_archive(environ: Mapping[str, str]) -> Archive:
    """Return the archive to use: FDSCOPE_VM_MIRROR, else what apt is configured with.

    Raises MissingMeansError when there is none, or no keyring to check it with.
    """
    if shutil.which("apt-get") is None:
        message = "no apt-get: the lab takes its kernels and userlands from a Debian archive"
        raise MissingMeansError(message)
    keyring = Path(environ.get("FDSCOPE_VM_KEYRING", KEYRING))
    if not keyring.exists():
        message = f"no archive keyring at {keyring}: {HOW_TO_CHOOSE}"
        raise MissingMeansError(message)
    chosen = environ.get("FDSCOPE_VM_MIRROR")
    if chosen:
        return Archive(chosen, environ.get("FDSCOPE_VM_SECURITY_MIRROR"), keyring)
    targets = read_targets()
    main = [target.uri for target in targets if not target.release.endswith(SECURITY)]
    security = [target.uri for target in targets if target.release.endswith(SECURITY)]
    if not main:
        message = f"apt is not configured with a Debian archive: {HOW_TO_CHOOSE}"
        raise MissingMeansError(message)
    return Archive(main[0], security[0] if security else None, keyring)
