# SPDX-License-Identifier: GPL-2.0-only
"""Losses are reported, and nothing else is."""

from fdscope.exporter.accounts.losses import between
from fdscope.probes.schema.snapshot import Snapshot
from fdscope.probes.schema.taxonomy import Loss


def snapshot(lost: int, missed: int) -> Snapshot:
    return Snapshot(
        {}, {}, losses={Loss.COUNTERS_FULL: lost}, missed_runs={"on_a": missed, "on_b": 1}
    )


def test_what_was_lost_before_does_not_matter() -> None:
    losses = between(snapshot(3, 4), snapshot(3, 4))
    assert losses.as_dict() == {"complete": True, "lost_updates": {}, "missed_runs": {}}
    assert losses.text().startswith("Nothing was lost")


def test_losses_are_named_with_their_number() -> None:
    losses = between(snapshot(3, 4), snapshot(5, 11))
    assert losses.as_dict() == {
        "complete": False,
        "lost_updates": {"counters_full": 2},
        "missed_runs": {"on_a": 7},
    }
    assert losses.text() == (
        "NOT COMPLETE, the figures may be too low: 2 updates lost (counters_full),"
        " 7 runs of on_a skipped"
    )
