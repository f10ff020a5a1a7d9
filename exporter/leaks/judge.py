# SPDX-License-Identifier: GPL-2.0-only
"""Whether an origin of descriptors leaks, by those of its descriptors that are still open.

The time of watching is cut into parts. A leak leaves descriptors of every part behind. A pool that
has filled leaves those of the first parts, and work in flight those of the last one. What goes on
to be read and written is in use. And where as many are closed as are opened, none is left behind.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

PARTS = 5
_SETTLED = PARTS - 1
"""Parts that are judged: what was opened in the last one may still be closed."""
_HELD_UP = 0.5
"""Least share of the first half of the settled parts that the second half must have."""
_IN_USE = 0.5
"""Share of the settled descriptors that are in use, from which on it is no leak."""
_REPLACED = 0.5
"""Least share of the settled descriptors by which those of the type must have become more."""


class Verdict(Enum):
    """What is said of an origin."""

    SUSPECTED = "leak suspected"
    IN_USE = "kept and in use"
    CLOSED = "closed"
    """All of them."""
    KEPT = "kept"
    """Some are open, and they do not become more and more."""
    REPLACED = "kept, as others were closed"
    """The descriptors of this type do not become more."""


@dataclass(frozen=True, slots=True)
class Held:
    """A descriptor that is still open."""

    age: float
    """Seconds since it was opened."""
    idle: float | None
    """Seconds since it was last used; None for never."""
    is_abandoned: bool = False
    """The other end has closed the connection."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Of one origin."""

    verdict: Verdict
    growth: float
    """Descriptors per second that stay."""


def judge(held: Sequence[Held], seconds: float, growth_of_type: int) -> Judgement:
    """Judge the descriptors of one origin that are open after so many seconds of watching.

    ``growth_of_type``: how many more of this fd type are open than when watching began.
    """
    if not held:
        return Judgement(Verdict.CLOSED, 0.0)
    length = max(seconds, 1e-3) / PARTS
    parts = [0] * PARTS
    settled = []
    for each in held:
        part = min(max(int((seconds - each.age) / length), 0), PARTS - 1)
        parts[part] += 1
        if part < _SETTLED:
            settled.append(each)
    half = _SETTLED // 2
    first, second = sum(parts[:half]), sum(parts[half:_SETTLED])
    if not all(parts[:_SETTLED]) or second < _HELD_UP * first:
        return Judgement(Verdict.KEPT, 0.0)
    if growth_of_type < _REPLACED * len(settled):
        return Judgement(Verdict.REPLACED, 0.0)
    used = sum(_is_in_use(each, length) for each in settled)
    if used >= _IN_USE * len(settled):
        return Judgement(Verdict.IN_USE, 0.0)
    return Judgement(Verdict.SUSPECTED, len(settled) / (length * _SETTLED))


def _is_in_use(held: Held, recently: float) -> bool:
    if held.is_abandoned or held.idle is None:
        return False
    return held.idle < recently < held.age


def least_growth(seconds: float) -> float:
    """The slowest leak, in descriptors per second, that so many seconds can show."""
    return PARTS / max(seconds, 1e-3)
