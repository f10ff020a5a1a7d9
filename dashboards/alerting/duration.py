# SPDX-License-Identifier: GPL-2.0-only
"""Durations in Prometheus' syntax."""

import re

from fdscope.exporter.settings.strict import shown

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(?:[0-9]{1,12}(?:ms|[smhdw])){1,5}")


class Duration(str):
    """A duration in Prometheus' syntax, e.g. ``1h30m``; ValueError for anything else."""

    __slots__ = ()

    def __new__(cls, text: str) -> "Duration":
        """Check the text."""
        if not _DURATION.fullmatch(text):
            raise ValueError(f"{shown(text)} is not a duration such as 30s, 5m, 1h or 7d")
        made = super().__new__(cls, text)
        if made.seconds <= 0:
            raise ValueError(f"{text!r} is a duration of 0")
        return made

    @property
    def seconds(self) -> float:
        """Its length in seconds."""
        parts = re.findall(r"([0-9]+)(ms|[smhdw])", self)
        return sum(int(number) * _UNITS[unit] for number, unit in parts)


def duration(seconds: float) -> Duration:
    """A computed duration, exact to the millisecond."""
    left, parts = round(seconds * 1000), ""
    for unit in ("d", "h", "m", "s", "ms"):
        count, left = divmod(left, round(_UNITS[unit] * 1000))
        parts += f"{count}{unit}" if count else ""
    return Duration(parts)
