# SPDX-License-Identifier: GPL-2.0-only
"""Against Grafana's own types: a JSON Schema from @grafana/schema, and the foundation SDK."""

import json
import warnings
from typing import Any

import jsonschema
import pytest

from tests.dashboards import node
from tests.dashboards.made import Json, all_panels, panels

# The types lag behind the panels, which have these keys (Grafana 12.2.0, canvas).
SCHEMA_LACKS = {"lineStyle", "links", "root", "actions", "radius"}
# Unknown to the SDK, which is made for another version.
SDK_LACKS = {
    "tooltip", "zoomToContent", "direction", "layoutAlgorithm", "lineStyle", "links", "border",
    "background", "constraint", "placement",
}  # fmt: skip


def _validator(*path: str) -> jsonschema.Draft7Validator:
    schema: Json = node.schema()
    part = schema["definitions"].get("Everything", schema)
    for key in path:
        part = part["properties"][key]
    return jsonschema.Draft7Validator({**part, "definitions": schema["definitions"]})


def _errors(validator: jsonschema.Draft7Validator, value: Any) -> list[str]:
    return [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(value)]


def test_the_schema_finds_mistakes() -> None:
    wrong = {"graphTooltip": 7, "titel": "misspelt", "panels": []}
    assert len(_errors(_validator("dashboard"), wrong)) == 2
    assert _errors(_validator("stat", "options"), {"colorMode": "zzz"})


def test_a_dashboard_is_what_grafana_says_one_is(dashboard: Json) -> None:
    assert _errors(_validator("dashboard"), {**dashboard, "panels": []}) == []


@pytest.mark.parametrize("panel", all_panels())
def test_a_panel_is_what_grafana_says_one_is(panel: Json) -> None:
    assert _errors(_validator("panel"), panel) == []
    kind = panel["type"]
    options = node.without(panel["options"], SCHEMA_LACKS) if kind == "canvas" else panel["options"]
    assert _errors(_validator(kind, "options"), options) == []
    custom = panel.get("fieldConfig", {}).get("defaults", {}).get("custom")
    if custom:
        assert _errors(_validator(kind, "custom"), custom) == []


def _round_trip(dashboard: Json) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it prefers another schema
        from grafana_foundation_sdk.cog.encoder import JSONEncoder
        from grafana_foundation_sdk.models.dashboard import Dashboard
    return json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))


def _dropped(before: Any, after: Any, path: str = "") -> list[str]:
    """Keys that did not survive."""
    if isinstance(before, dict):
        if not isinstance(after, dict):
            return [path]
        return [
            lost
            for key, value in before.items()
            if key not in SDK_LACKS
            for lost in (
                _dropped(value, after[key], f"{path}.{key}")
                if key in after
                else [f"{path}.{key}"] * (value not in ([], {}, None, "", False))
            )
        ]
    if isinstance(before, list) and isinstance(after, list):
        return [
            lost
            for index, (one, other) in enumerate(zip(before, after, strict=False))
            for lost in _dropped(one, other, f"{path}[{index}]")
        ]
    return []


def test_nothing_is_lost_on_a_round_trip_through_the_sdk(dashboard: Json) -> None:
    assert _dropped(dashboard, _round_trip(dashboard)) == []


def test_every_panel_survives(dashboard: Json) -> None:
    again = _round_trip(dashboard)
    assert [p["title"] for p in panels(again)] == [p["title"] for p in panels(dashboard)]
