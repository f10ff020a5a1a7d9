# SPDX-License-Identifier: GPL-2.0-only
"""From grafanalib's JSON to Grafana's schema 42: removes old keys, adapts others."""

import json
from typing import Any

from grafanalib._gen import DashboardEncoder

SCHEMA_VERSION = 42

_DASHBOARD_OLD = (
    "__inputs", "gnetId", "hideControls", "id", "rows", "sharedCrosshair", "style",
)  # fmt: skip
_PANEL_OLD = (
    "cacheTimeout", "editable", "error", "height", "hideTimeOverride", "maxPerRow", "minSpan",
    "repeat", "repeatDirection", "span",
)  # fmt: skip
_VARIABLE_OLD = ("auto", "auto_count", "auto_min", "tagValuesQuery", "tagsQuery", "useTags")
_ROW_KEYS = ("id", "type", "title", "collapsed", "gridPos", "panels")


def normalise(dashboard: Any) -> dict[str, Any]:
    """Dashboard JSON as Grafana 12 itself would store it, from a grafanalib dashboard."""
    data: dict[str, Any] = json.loads(json.dumps(dashboard, cls=DashboardEncoder))
    for key in _DASHBOARD_OLD:
        data.pop(key, None)
    data["schemaVersion"] = SCHEMA_VERSION
    data["timepicker"] = {"refresh_intervals": data["timepicker"]["refresh_intervals"]}
    data["templating"]["list"] = [_variable(entry) for entry in data["templating"]["list"]]
    data["panels"] = [_panel(panel) for panel in data["panels"]]
    result = _without_none(data)
    assert isinstance(result, dict)  # noqa: S101 - for the type checker
    return result


def _panel(panel: dict[str, Any]) -> dict[str, Any]:
    if panel["type"] == "row":
        inner = [_panel(one) for one in panel["panels"]]
        return {key: panel[key] for key in _ROW_KEYS if key in panel} | {"panels": inner}
    repeat = {key: panel[key] for key in ("repeat", "repeatDirection") if panel.get(key)}
    return {key: value for key, value in panel.items() if key not in _PANEL_OLD} | repeat


def _variable(variable: dict[str, Any]) -> dict[str, Any]:
    variable = {key: value for key, value in variable.items() if key not in _VARIABLE_OLD}
    if variable["includeAll"]:
        variable["current"] = {"text": ["All"], "value": ["$__all"]}
    else:
        variable["current"] = {}
    return variable


def _without_none(value: Any, key: str = "") -> Any:
    """Drop null values, except of the first step of thresholds, where null means the lowest."""
    if isinstance(value, dict):
        steps = key == "steps"
        return {k: _without_none(v, k) for k, v in value.items() if v is not None or steps}
    if isinstance(value, list):
        return [_without_none(entry, key) for entry in value]
    return value
