# SPDX-License-Identifier: GPL-2.0-only
"""All rules, in the groups in which Prometheus evaluates them."""

from dataclasses import replace
from pathlib import Path

from fdscope.dashboards.alerting.model import Alert, Group, Record
from fdscope.dashboards.alerting.reading import load
from fdscope.dashboards.alerting.rules import (
    events,
    fds,
    fleet,
    flow,
    held,
    itself,
    new_types,
    running_out,
    sockets,
)
from fdscope.dashboards.alerting.settings import OFF, Settings


def groups(settings: Settings) -> tuple[Group, ...]:
    """The rules of these settings; alerts that are off are left out."""
    often, rarely = settings.evaluation.interval, settings.evaluation.history_interval
    fast = settings.evaluation.fast_interval
    made = (
        Group("fdscope-fleet", often, tuple(fleet.records())),
        Group("fdscope-fd-limits", fast, tuple(running_out.fast(settings))),
        Group(
            "fdscope-fds",
            often,
            (
                *running_out.rules(settings),
                *fds.alerts(settings),
                *sockets.alerts(settings),
                *held.alerts(settings),
            ),
        ),
        Group("fdscope-events", often, events.rules(settings)),
        Group("fdscope-flow", often, flow.rules(settings)),
        Group(
            "fdscope-history",
            rarely,
            (
                *flow.history(settings),
                *new_types.rules(settings),
                *running_out.rarely(settings),
            ),
        ),
        Group("fdscope-itself", often, tuple(itself.alerts(settings))),
    )
    return tuple(replace(group, rules=_chosen(group, settings)) for group in made)


def _chosen(group: Group, settings: Settings) -> tuple[Record | Alert, ...]:
    return tuple(
        replace(rule, severity=settings.severity.get(rule.name, rule.severity))
        if isinstance(rule, Alert)
        else rule
        for rule in group.rules
        if settings.severity.get(rule.name) != OFF
    )


def alert_names() -> tuple[str, ...]:
    """Names of all alerts."""
    return tuple(alert.name for group in groups(load(None)) for alert in group.alerts)


def from_file(path: Path | None) -> tuple[Settings, tuple[Group, ...]]:
    """Settings and rules with the changes of a user's file; ConfigError if it cannot be used."""
    settings = load(path, alert_names())
    return settings, groups(settings)
