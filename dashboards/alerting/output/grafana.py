# SPDX-License-Identifier: GPL-2.0-only
"""The same alerts as a provisioning file for Grafana-managed alerting.

Grafana queries Prometheus, which must have the recording rules.
"""

from collections.abc import Iterable
from typing import Any

from fdscope.dashboards.alerting.model import Alert, Group
from fdscope.dashboards.alerting.output.prometheus import annotations, dump
from fdscope.dashboards.alerting.settings import Settings

DATA_SOURCE = "prometheus"
"""The uid of the provisioned data source: alert rules cannot use a dashboard's variable."""

_BELOW_ALL = -1e300
_ASKED_SECONDS = 600
_STEP_SECONDS = 10
"""Grafana accepts only multiples of this as evaluation intervals."""


def provisioning(groups: Iterable[Group], settings: Settings) -> str:
    """The text of a file for Grafana's provisioning/alerting."""
    content = {
        "apiVersion": 1,
        "groups": [
            {
                "orgId": 1,
                "name": group.name,
                "folder": "fdscope",
                "interval": _interval(group),
                "rules": [_rule(alert, settings) for alert in group.alerts],
            }
            for group in groups
            if group.alerts
        ],
    }
    return dump(content)


def _interval(group: Group) -> str:
    steps = max(1, round(group.interval.seconds / _STEP_SECONDS))
    return f"{steps * _STEP_SECONDS}s"


def _rule(alert: Alert, settings: Settings) -> dict[str, Any]:
    told = annotations(alert, settings)
    return {
        "uid": alert.name.lower(),
        "title": alert.name,
        "condition": "B",
        "data": [
            {
                "refId": "A",
                "relativeTimeRange": {"from": _ASKED_SECONDS, "to": 0},
                "datasourceUid": DATA_SOURCE,
                # In provisioning files a dollar sign begins an environment variable.
                "model": {
                    "refId": "A",
                    "instant": True,
                    "range": False,
                    "expr": alert.expression.replace("$", "$$"),
                },
            },
            {
                # The expression has filtered already: every remaining sample is an alert.
                "refId": "B",
                "datasourceUid": "__expr__",
                "model": {
                    "refId": "B",
                    "type": "threshold",
                    "expression": "A",
                    "conditions": [{"evaluator": {"type": "gt", "params": [_BELOW_ALL]}}],
                },
            },
        ],
        "noDataState": "OK",
        "execErrState": "Error",
        "for": str(alert.hold),
        "labels": {"severity": alert.severity},
        "annotations": {
            key: text.replace("$value", "$values.A.Value") for key, text in told.items()
        },
    }
