# SPDX-License-Identifier: GPL-2.0-only
import itertools
import json
import re
from pathlib import Path
from typing import Any

from fdscope.dashboards import build
from fdscope.dashboards.boards.socket_is_a_file import diagram
from fdscope.dashboards.grafana import style
from fdscope.dashboards.grafana.canvas import SHARE
from fdscope.dashboards.grafana.layout import COLUMNS, UIDS
from fdscope.probes.schema.taxonomy import Door, FdType
from tests.dashboards.made import DASHBOARDS, Json, panels

CORE_PANELS = {
    "barchart", "bargauge", "canvas", "gauge", "heatmap", "nodeGraph", "row", "stat",
    "state-timeline", "table", "text", "timeseries",
}  # fmt: skip


def test_the_files_that_are_checked_in_are_fresh() -> None:
    assert build.stale(build.CHECKED_IN) == []


def test_a_stale_and_a_foreign_file_are_told(tmp_path: Path) -> None:
    build.write(tmp_path)
    (tmp_path / "host.json").write_text("{}")
    (tmp_path / "old.json").write_text("{}")
    assert build.stale(tmp_path) == ["host.json", "old.json"]


def test_six_dashboards_with_fixed_names() -> None:
    assert {dashboard["uid"] for dashboard in DASHBOARDS.values()} == set(UIDS.values())
    assert len({dashboard["title"] for dashboard in DASHBOARDS.values()}) == len(UIDS)


def test_only_panels_of_grafanas_core(dashboard: Json) -> None:
    assert {panel["type"] for panel in (*dashboard["panels"], *panels(dashboard))} <= CORE_PANELS


def test_panels_have_numbers_of_their_own(dashboard: Json) -> None:
    inner = [one for panel in dashboard["panels"] for one in panel.get("panels", ())]
    numbers = [panel["id"] for panel in (*dashboard["panels"], *inner)]
    assert len(numbers) == len(set(numbers))


def test_queries_of_a_panel_have_names_of_their_own(dashboard: Json) -> None:
    for panel in panels(dashboard):
        names = [target["refId"] for target in panel.get("targets", ())]
        assert all(names)
        assert len(names) == len(set(names))


def test_panels_lie_within_the_grid_and_not_on_each_other(dashboard: Json) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= COLUMNS
        cells = set(
            itertools.product(
                range(place["x"], place["x"] + place["w"]),
                range(place["y"], place["y"] + place["h"]),
            )
        )
        assert not cells & taken, panel["title"]
        taken |= cells


def _canvas() -> Json:
    return next(p for p in panels(DASHBOARDS["socket_is_a_file"]) if p["type"] == "canvas")


def _fields(targets: list[Json]) -> set[str]:
    """Names of the fields that the queries make, with every value of a closed set."""
    values = {"door": diagram.DOORS, "part": diagram.PARTS}
    fields = set()
    for target in targets:
        legend = target["legendFormat"]
        label = re.search(r"{{(\w+)}}", legend)
        words = values[label.group(1)] if label else [""]
        fields |= {re.sub(r"{{\w+}}", word, legend) for word in words}
    return fields


def test_every_field_of_the_canvas_is_one_of_a_query() -> None:
    canvas = _canvas()
    fields = _fields(canvas["targets"])
    used = set()
    for element in canvas["options"]["root"]["elements"]:
        used |= _field_names(element["config"])
        for connection in element["connections"]:
            used |= {connection["color"]["field"], connection["size"]["field"]}
            assert connection["size"]["field"] == connection["color"]["field"] + SHARE
    assert used
    assert used <= fields


def _field_names(config: Json) -> set[str]:
    text: dict[str, Any] = config["text"]
    return {text["field"]} if text["mode"] == "field" else set()


def test_every_flow_of_the_canvas_leads_to_an_element() -> None:
    elements = _canvas()["options"]["root"]["elements"]
    names = [element["name"] for element in elements]
    assert len(names) == len(set(names))
    targets = {c["targetName"] for element in elements for c in element["connections"]}
    assert targets
    assert targets <= set(names)


def test_every_number_of_the_canvas_is_instant() -> None:
    assert all(target["instant"] for target in _canvas()["targets"])


def test_every_door_and_fd_type_has_its_place_in_the_poster() -> None:
    assert set(diagram.DOORS) == {door.label for door in Door} == set(style.DOORS)
    for fd_type in FdType:
        matching = [
            part
            for part, pattern in diagram.PATTERNS.items()
            if re.fullmatch(pattern, fd_type.label) and part != "event"
        ]
        assert len(matching) <= 1, fd_type


def test_every_fd_type_has_a_colour_of_its_own() -> None:
    lacking = {fd_type.label for fd_type in FdType} - style.FD_TYPES.keys()
    assert not lacking, f"add {lacking} to FD_TYPES in dashboards/style.py"
    assert style.FD_TYPES.keys() == {fd_type.label for fd_type in FdType}
    assert len({*style.FD_TYPES.values()}) == len(FdType)


def test_links_lead_to_dashboards_that_exist_and_keep_time_and_variables(dashboard: Json) -> None:
    assert dashboard["links"][0]["keepTime"]
    assert dashboard["links"][0]["includeVars"]
    urls = re.findall(r'"url": "(/d/[^"]*)"', json.dumps(dashboard))
    for url in urls:
        assert url.split("?")[0].removeprefix("/d/") in UIDS.values()
        assert "${__url_time_range}" in url
        assert "${datasource:queryparam}" in url


def test_links_encode_the_names_that_they_pass_on(dashboard: Json) -> None:
    for url in re.findall(r'"url": "(/d/[^"]*)"', json.dumps(dashboard)):
        named = re.findall(r"\$\{__(?:field|value)\.[^}]*\}", url)
        assert all(name.endswith(":percentencode}") for name in named), url


def test_a_graph_with_a_side_below_zero_says_which(dashboard: Json) -> None:
    for panel in panels(dashboard):
        if '"negative-Y"' in json.dumps(panel):
            assert panel["fieldConfig"]["defaults"]["custom"]["axisLabel"]
