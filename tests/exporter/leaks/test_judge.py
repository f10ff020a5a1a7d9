# SPDX-License-Identifier: GPL-2.0-only
"""What is a leak, by the age and use of what is still open."""

import pytest

from fdscope.exporter.leaks.judge import Held, Verdict, judge, least_growth

SECONDS = 100.0


def held(
    ages: "range | list[int]", idle: float | None = None, abandoned: bool = False
) -> list[Held]:
    return [Held(age, idle, abandoned) for age in ages]


@pytest.mark.parametrize(
    ("held", "growth_of_type", "verdict"),
    [
        ([], 0, Verdict.CLOSED),
        (held(range(1, 100)), 99, Verdict.SUSPECTED),
        (held([90, 70, 50, 30]), 4, Verdict.SUSPECTED),
        (held([90, 70, 50]), 3, Verdict.KEPT),
        (held(range(90, 100)), 10, Verdict.KEPT),  # a pool that has filled
        (held([*range(60, 100), 30, 50]), 42, Verdict.KEPT),  # one that is nearly full
        (held(range(1, 20)), 19, Verdict.KEPT),  # work in flight
        (held(range(1, 100)), 0, Verdict.REPLACED),  # as many older ones were closed
        (held(range(1, 100)), 45, Verdict.SUSPECTED),
        (held(range(1, 100), idle=5), 99, Verdict.IN_USE),
        (held(range(1, 100), idle=5, abandoned=True), 99, Verdict.SUSPECTED),
        (held(range(1, 100), idle=30), 99, Verdict.SUSPECTED),
        (held([*range(1, 60)], idle=5) + held([*range(60, 100)]), 99, Verdict.SUSPECTED),
    ],
)  # fmt: skip
def test_verdicts(held: list[Held], growth_of_type: int, verdict: Verdict) -> None:
    of = judge(held, SECONDS, growth_of_type)
    assert of.verdict is verdict
    assert bool(of.growth) == (verdict is Verdict.SUSPECTED)


def test_growth_is_of_what_stays() -> None:
    assert judge(held(range(1, 101)), SECONDS, 100).growth == pytest.approx(1.0, rel=0.02)
    assert least_growth(SECONDS) == 0.05


def test_odd_times() -> None:
    """A clock that has not moved, and descriptors older than the watching."""
    assert judge(held([0]), 0.0, 1).verdict is Verdict.KEPT
    assert judge(held([1000]), 10.0, 1).verdict is Verdict.KEPT
