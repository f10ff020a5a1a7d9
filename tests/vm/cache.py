# SPDX-License-Identifier: GPL-2.0-only
"""A cache of built folders outside the checkout, each named by a hash of its inputs."""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return the cache folder: FDSCOPE_VM_CACHE, else fdscope-vm in the user's cache."""
    chosen = environ.get("FDSCOPE_VM_CACHE")
    if chosen:
        return Path(chosen)
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "fdscope-vm"


def source_hash(*sources: Path) -> str:
    """Return a hash of program files, so that a changed program rebuilds its output."""
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()


@dataclass(frozen=True, slots=True)
class Cache:
    """Built folders below `folder`; one builder at a time for each of them."""

    folder: Path

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold the lock called `name`, between threads and between processes."""
        locks = self.folder / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        with (locks / name).open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def built(
        self, kind: str, name: str, inputs: Mapping[str, object], build: Callable[[Path], None]
    ) -> Path:
        """Return the folder for these inputs, calling `build` on an empty one if it is new.

        Older builds of the same kind and name are removed after a rebuild. A
        failed build leaves nothing behind.
        """
        text = json.dumps(inputs, sort_keys=True, default=str)
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        target = self.folder / kind / f"{name}@{key}"
        with self.locked(f"{kind}-{name}"):
            if not target.exists():
                self._build(target, text, build)
                self._drop_older(target, name)
        return target

    def _build(self, target: Path, inputs: str, build: Callable[[Path], None]) -> None:
        with self.scratch() as work:
            fresh = work / "fresh"
            fresh.mkdir()
            build(fresh)
            (fresh / "inputs.json").write_text(inputs + "\n")
            target.parent.mkdir(parents=True, exist_ok=True)
            fresh.rename(target)

    def _drop_older(self, target: Path, name: str) -> None:
        for other in target.parent.glob(f"{name}@*"):
            if other != target:
                shutil.rmtree(other)

    def _drop_abandoned(self, parent: Path) -> None:
        """Remove temporary folders of labs that were killed; names start with the process id."""
        for folder in parent.iterdir():
            if not Path("/proc", folder.name.partition("-")[0]).exists():
                shutil.rmtree(folder, ignore_errors=True)  # another lab may be removing it too

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give a temporary folder on the cache's file system, removed at the end."""
        parent = self.folder / "tmp"
        parent.mkdir(parents=True, exist_ok=True)
        self._drop_abandoned(parent)
        work = Path(tempfile.mkdtemp(dir=parent, prefix=f"{os.getpid()}-"))
        try:
            yield work
        finally:
            shutil.rmtree(work)
