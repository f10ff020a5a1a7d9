# SPDX-License-Identifier: GPL-2.0-only
"""The findings of ``fdscope doctor``, as tables for a person and as plain values for JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fdscope.probes.attach.report import HookStatus

_WHY_LENGTH = 160
_TRIAL_WORDS = {True: "works", False: "refused", None: "not tried"}

OK, NOTE, PROBLEM = "ok", "note", "problem"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked."""

    name: str
    state: str
    """``ok``, ``note`` (fdscope works without it) or ``problem`` (it does not)."""
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """An attach mode that was loaded for real and detached again."""

    mode: str
    works: bool | None
    """None if it was not tried."""
    why: str = ""
    hooks: Sequence[HookStatus] = ()
    map_bytes: int = 0
    """Kernel memory of all maps, with the default room."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that ``fdscope doctor`` reports."""

    checks: tuple[Check, ...]
    trials: tuple[Trial, ...]

    @property
    def mode(self) -> str | None:
        """The mode that fdscope would take: the first that works."""
        return next((trial.mode for trial in self.trials if trial.works), None)

    @property
    def ok(self) -> bool:
        """True if fdscope can run here."""
        return self.mode is not None and all(check.state != PROBLEM for check in self.checks)

    @property
    def verdict(self) -> str:
        """The answer in one sentence."""
        if not self.ok:
            problems = [check.name for check in self.checks if check.state == PROBLEM]
            return f"fdscope cannot run here: {', '.join(problems) or 'no attach mode works'}"
        hooks = next(trial.hooks for trial in self.trials if trial.works)
        attached = sum(hook.is_attached for hook in hooks)
        return f"fdscope can run here, in {self.mode} mode: {attached} of {len(hooks)} hooks attach"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the keys are an interface."""
        return {
            "ok": self.ok,
            "verdict": self.verdict,
            "mode": self.mode,
            "checks": [asdict(check) for check in self.checks],
            "modes": [asdict(trial) for trial in self.trials],
        }

    def text(self) -> str:
        """Tables for a person, then the verdict and what to do."""
        chosen = next((trial for trial in self.trials if trial.works), None)
        sections = [
            _table((check.name, check.state, check.found) for check in self.checks),
            _table(
                (f"{trial.mode} mode", _TRIAL_WORDS[trial.works], _shorten(trial.why))
                for trial in self.trials
            ),
        ]
        if chosen:
            order = sorted(chosen.hooks, key=lambda hook: hook.layer)
            rows = ((h.layer, h.state, h.function, _shorten(h.why)) for h in order)
            sections.append(_table(rows))
            sections.append(f"kernel memory of the maps: {chosen.map_bytes / 1e6:.1f} MB")
        sections.append(self.verdict)
        remedies = [check for check in self.checks if check.remedy]
        sections[-1] += "".join(f"\n  {check.name}: {check.remedy}" for check in remedies)
        return "\n\n".join(sections)


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WHY_LENGTH else f"{line[: _WHY_LENGTH - 3]}..."


def _table(rows: Iterator[tuple[str, ...]]) -> str:
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )
