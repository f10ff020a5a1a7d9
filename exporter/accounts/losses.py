# SPDX-License-Identifier: GPL-2.0-only
"""Updates and runs that were lost between two snapshots: reported beside the figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fdscope.probes.schema.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Losses:
    """Losses between two snapshots; empty if the figures are complete."""

    lost_updates: Mapping[str, int]
    """Reason to number of lost updates."""
    missed_runs: Mapping[str, int]
    """BPF program to number of runs that the kernel skipped."""

    @property
    def complete(self) -> bool:
        """True if nothing is missing from the figures."""
        return not self.lost_updates and not self.missed_runs

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the keys are an interface."""
        return {
            "complete": self.complete,
            "lost_updates": dict(self.lost_updates),
            "missed_runs": dict(self.missed_runs),
        }

    def text(self) -> str:
        """One sentence."""
        if self.complete:
            return "Nothing was lost: the kernel skipped no run of a probe, and no map was full."
        parts = [f"{count} updates lost ({reason})" for reason, count in self.lost_updates.items()]
        parts += [f"{count} runs of {name} skipped" for name, count in self.missed_runs.items()]
        return f"NOT COMPLETE, the figures may be too low: {', '.join(parts)}"


def _grown(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    differences = ((name, count - before.get(name, 0)) for name, count in after.items())
    return {name: count for name, count in differences if count > 0}


def between(before: Snapshot, after: Snapshot) -> Losses:
    """The losses from one snapshot to the next of the same session."""
    labels = ({loss.label: n for loss, n in s.losses.items()} for s in (before, after))
    return Losses(_grown(*labels), _grown(before.missed_runs, after.missed_runs))
