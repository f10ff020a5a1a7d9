# SPDX-License-Identifier: GPL-2.0-only
"""Reads one suite of the archive through apt with a separate configuration and state."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.vm.archive import Archive
from tests.vm.cache import Cache
from tests.vm.cells import Arch
from tests.vm.command import LabError, run
from tests.vm.progress import Progress

FRESH_SECONDS = 12 * 3600
CONFIGURATION = """\
#clear APT::Architectures;
APT::Architecture "{arch}";
APT::Architectures {{ "{arch}"; }};
APT::Sandbox::User "root";
Acquire::Languages "none";
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "srcpkgcache.bin";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "{folder}/none";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "{folder}/none";
"""


def replace_text(path: Path, text: str) -> bool:
    """Write a file; True if its content changed."""
    if path.exists() and path.read_text() == text:
        return False
    path.write_text(text)
    return True


@dataclass(frozen=True, slots=True)
class Package:
    """The newest version of a package that a suite offers."""

    name: str
    version: str
    depends: tuple[str, ...]

    @property
    def pin(self) -> str:
        """The name and version as apt wants them."""
        return f"{self.name}={self.version}"


@dataclass(frozen=True, slots=True)
class Suite:
    """One suite for one architecture; its package lists are fetched twice a day."""

    archive: Archive
    cache: Cache
    progress: Progress
    name: str
    arch: Arch

    @property
    def folder(self) -> Path:
        """Where this suite's apt keeps its configuration, lists and caches."""
        return self.cache.folder / "apt" / f"{self.name}-{self.arch.debian}"

    def refresh(self) -> None:
        """Fetch the package lists if they are missing, old, or of another archive."""
        with self.cache.locked(f"apt-{self.name}-{self.arch.debian}"):
            if not self._configure():
                self._stamp.unlink(missing_ok=True)
                with self.progress.step(self.name, f"reading package lists ({self.arch.debian})"):
                    self._update()
                self._stamp.touch()

    @property
    def _stamp(self) -> Path:
        return self.folder / "updated"

    def _configure(self) -> bool:
        """Write the configuration; True if the lists are fresh and made with it."""
        sources = "\n".join(self.archive.sources(self.name)) + "\n"
        settings = CONFIGURATION.format(arch=self.arch.debian, folder=self.folder)
        for part in ("state/lists/partial", "cache/archives/partial", "none"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        changed = [
            replace_text(self.folder / "apt.conf", settings),
            replace_text(self.folder / "sources.list", sources),
        ]
        if any(changed) or not self._stamp.exists():
            return False
        return time.time() - self._stamp.stat().st_mtime < FRESH_SECONDS

    def _update(self) -> None:
        try:
            self._apt("apt-get", "--error-on=any", "update")
        except LabError as error:
            message = f"{error}\nif keys are missing, upgrade the package debian-archive-keyring"
            raise LabError(message) from error

    def _apt(self, tool: str, *arguments: str, cwd: Path | None = None) -> str:
        argv = [tool, "-q", "-c", str(self.folder / "apt.conf"), *arguments]
        return run(argv, what=f"{self.name} ({self.arch.debian}): {arguments[0]}", cwd=cwd)

    def package(self, name: str) -> Package:
        """Return what the suite offers under this name; LabError when it has none."""
        text = self._apt("apt-cache", "show", "--no-all-versions", name)
        fields = dict(re.findall(r"^(Version|Pre-Depends|Depends): (.+)$", text, re.MULTILINE))
        if "Version" not in fields:
            message = f"{self.name} ({self.arch.debian}) has no package {name}"
            raise LabError(message)
        depends = f"{fields.get('Pre-Depends', '')}, {fields.get('Depends', '')}"
        names = re.findall(r"(?:^|, )([a-z0-9][a-z0-9+.-]+)", depends)
        return Package(name, fields["Version"], tuple(names))

    def closure(self, name: str, pattern: str) -> list[Package]:
        """Return the packages that a meta package depends on, by matching names."""
        found: dict[str, Package] = {}
        waiting = [name]
        while waiting:
            package = self.package(waiting.pop())
            found[package.name] = package
            follow = [other for other in package.depends if re.match(pattern, other)]
            waiting += [other for other in follow if other not in found]
        del found[name]
        return sorted(found.values(), key=lambda package: package.name)

    def download(self, packages: Sequence[Package], folder: Path) -> list[Path]:
        """Fetch packages into a folder and return their files."""
        self._apt("apt-get", "download", *(package.pin for package in packages), cwd=folder)
        return sorted(folder.glob("*.deb"))
