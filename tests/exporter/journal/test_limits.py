# SPDX-License-Identifier: GPL-2.0-only
"""A flood by one unit leaves room for the others, and is told."""

from fdscope.exporter.journal.limits import SUMMARY_SECONDS, Limits


def test_a_flood_and_another_unit() -> None:
    limits: Limits[str] = Limits(60)
    assert sum(limits.allows("flood", 0.0) for _ in range(100_000)) == 60
    assert limits.allows("other", 0.0)
    assert limits.due == SUMMARY_SECONDS
    assert limits.summary() == {"flood": 100_000 - 60}
    assert limits.due is None
    assert limits.summary() == {}


def test_room_comes_back() -> None:
    limits: Limits[str] = Limits(60)
    assert sum(limits.allows("unit", 0.0) for _ in range(70)) == 60
    assert sum(limits.allows("unit", 5.0) for _ in range(70)) == 5
    assert sum(limits.allows("unit", 1000.0) for _ in range(70)) == 60


def test_many_units_are_bounded() -> None:
    limits: Limits[int] = Limits(10, most_keys=5)
    allowed = sum(limits.allows(unit, 0.0) for unit in range(100))
    assert allowed == 5 + 10  # what has no room shares a bucket
    assert limits.summary() == {None: 100 - allowed}
    # After a minute their room is given to others.
    assert all(limits.allows(unit, 100.0) for unit in range(200, 205))
