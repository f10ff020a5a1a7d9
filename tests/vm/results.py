# SPDX-License-Identifier: GPL-2.0-only
"""The results of a cell: logs, reports, status."""

import json
import re
import shutil
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path

UP_LINE = re.compile(r"^@@UP ([\d.]+)\s*$", re.MULTILINE)
TIMED_OUT = 124
KILLED = 137


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a cell in a mode; times are in seconds, `boot_seconds` by the guest's clock."""

    cell: str
    mode: str
    passed: bool
    why: str
    kernel: str = ""
    bcc: str = ""
    arch: str = ""
    cpus: int = 1
    seconds: float = 0.0
    boot_seconds: float = 0.0

    def write(self, folder: Path) -> None:
        """Write this as result.json into its folder."""
        text = json.dumps(asdict(self), indent=2)
        (folder / "result.json").write_text(text + "\n")


def results_folder(checkout: Path) -> Path:
    """Return the folder, ignored by git, that holds a folder for each cell and mode."""
    return checkout / "build/vm"


def fresh_folder(checkout: Path, name: str) -> Path:
    """Return an empty folder, that git ignores, for the results of a run of this name."""
    parent = results_folder(checkout)
    parent.mkdir(parents=True, exist_ok=True)
    (parent / ".gitignore").write_text("*\n")
    folder = parent / name
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    return folder


def describe_status(status: int) -> str:
    """Return the meaning of the status of a guest's command."""
    if status in {TIMED_OUT, KILLED}:
        return "ended by its time limit"
    return "passed" if status == 0 else f"failed ({status})"


def boot_seconds(output: str) -> float:
    """Read from a guest's output how long the kernel took to its first process."""
    found = UP_LINE.search(output)
    return float(found[1]) if found else 0.0


def unpack_reports(archive: Path, folder: Path) -> list[str]:
    """Copy the files of a guest's /reports into a flat folder and return their names.

    Gives none if the guest died before it sent them; raises tarfile.ReadError
    if they are damaged.
    """
    if not archive.exists() or archive.stat().st_size == 0:
        return []
    names = []
    with tarfile.open(archive) as reports:
        for member in reports:
            content = reports.extractfile(member) if member.isfile() else None
            if content is not None:
                names.append(Path(member.name).name)
                (folder / names[-1]).write_bytes(content.read())
    archive.unlink()
    return names
