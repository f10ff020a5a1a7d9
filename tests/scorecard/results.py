# SPDX-License-Identifier: GPL-2.0-only
"""A run of the scorecard as a file, and the verdicts that make it fail."""

import json
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fdscope.probes.read.session import Session
from tests.paths import BUILD
from tests.scorecard.model import BLIND, OFF, Line, Verdict

FOLDER = BUILD / "scorecard"


@dataclass(frozen=True, slots=True)
class Run:
    """All scenarios in one mode on one kernel."""

    kernel: str
    arch: str
    bcc: str
    mode: str
    scale: float
    losses: dict[str, int]
    """All since the probes were attached, by reason; calls that were waiting then return
    unmatched."""
    missed_runs: int
    """Missed runs of all programs on the whole host while it ran."""
    verdicts: list[Verdict] = field(default_factory=list)

    @property
    def residual_bytes(self) -> int:
        """The residual of the ledger; a named blind spot explains it."""
        return sum(v.residual_bytes for v in self.verdicts if v.verdict != BLIND)

    @property
    def lost(self) -> int:
        """Losses while a scenario ran."""
        return sum(verdict.losses for verdict in self.verdicts)

    @property
    def passed(self) -> bool:
        """True if no scenario is off and the ledger closed."""
        return not self.failures and not self.lost and not self.residual_bytes

    @property
    def failures(self) -> list[Verdict]:
        """Verdicts that are neither exact nor excused."""
        return [verdict for verdict in self.verdicts if verdict.verdict == OFF]


def of_session(session: Session, scale: float, verdicts: list[Verdict]) -> Run:
    """Make the results of a session."""
    after = session.snapshot()
    return Run(
        kernel=platform.release(),
        arch=platform.machine(),
        bcc=session.report.bcc,
        mode=session.mode.value,
        scale=scale,
        losses={loss.label: count for loss, count in after.losses.items() if count},
        missed_runs=sum(after.missed_runs.values()),
        verdicts=verdicts,
    )


def save(run: Run, folder: Path) -> Path:
    """Write it; the file's name holds kernel and mode."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"scorecard-{run.kernel}-{run.mode}.json"
    path.write_text(json.dumps(asdict(run), indent=1) + "\n")
    return path


def load(path: Path) -> Run:
    """Read it back."""
    found = json.loads(path.read_text())
    verdicts = [
        Verdict(**verdict | {"wrong": [Line(*line) for line in verdict["wrong"]]})
        for verdict in found.pop("verdicts")
    ]
    return Run(verdicts=verdicts, **found)


def load_all(folders: Sequence[Path]) -> list[Run]:
    """All runs found, oldest kernel first, then by mode."""
    paths = [path for folder in folders for path in folder.rglob("scorecard-*.json")]
    return sorted(map(load, paths), key=lambda run: (_number(run.kernel), run.mode))


def long_tests(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """The reports of all load tests and soaks found, in the order of their names."""
    paths = [
        path
        for folder in folders
        for kind in ("load", "soak")
        for path in folder.rglob(f"{kind}-*.json")
    ]
    return [json.loads(path.read_text()) for path in sorted(paths, key=lambda path: path.name)]


def _number(kernel: str) -> list[int]:
    return [int(part) for part in re.findall("[0-9]+", kernel)[:3]]
