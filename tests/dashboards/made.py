# SPDX-License-Identifier: GPL-2.0-only
"""The dashboards as they are written, and their parts."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from fdscope.dashboards.build import files

Json = dict[str, Any]
DASHBOARDS: dict[str, Json] = {
    name.removesuffix(".json"): json.loads(text) for name, text in files()
}


def panels(dashboard: Json) -> Iterator[Json]:
    """All panels of a dashboard that are no rows."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def all_panels() -> list[Any]:
    """Every panel of every dashboard, as test parameters."""
    return [
        pytest.param(panel, id=f"{name}-{panel['title']}")
        for name, dashboard in DASHBOARDS.items()
        for panel in panels(dashboard)
    ]


def all_targets() -> list[Any]:
    """Every query of every panel, as test parameters."""
    return [
        pytest.param(target, id=f"{name}-{panel['title']}-{target['refId']}")
        for name, dashboard in DASHBOARDS.items()
        for panel in panels(dashboard)
        for target in panel.get("targets", ())
    ]
