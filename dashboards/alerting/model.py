# SPDX-License-Identifier: GPL-2.0-only
"""Rules, independent of any file format."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fdscope.dashboards.alerting.duration import Duration

UNUSUAL, HOST, ITSELF = "fdscope-unusual", "fdscope-host", "fdscope-itself"
"""Dashboards that alerts link to."""


@dataclass(frozen=True, slots=True)
class Record:
    """A recording rule; its name is level:metric:operations."""

    name: str
    expression: str
    label_names: tuple[str, ...] = ()
    """The labels that it has besides those of the target."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """The labels that the rule itself sets."""


@dataclass(frozen=True, slots=True)
class Alert:
    """An alerting rule. ``description`` may use ``$value`` and the labels as ``$labels.x``."""

    name: str
    severity: str
    expression: str
    summary: str
    """One sentence that ends with a period and names no instance."""
    description: str
    dashboard: str
    label_names: tuple[str, ...] = ()
    """The labels that it has besides those of the target."""
    hold: str = "0s"
    """Time for which the expression must hold before the alert fires."""


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after the other, at the same time stamps."""

    name: str
    interval: Duration
    rules: tuple[Record | Alert, ...]

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """The alerting rules of the group."""
        return tuple(rule for rule in self.rules if isinstance(rule, Alert))
