# SPDX-License-Identifier: GPL-2.0-only
"""The rules of Grafana's dashboard linter, rewritten, and some of this project."""

import re
from typing import Any

import pytest

from tests.dashboards.made import DASHBOARDS, Json, all_panels, all_targets, panels

# Expressions that use a counter without rate(), each with its reason.
RAW_COUNTERS = {
    "fdscope_ledger_": "the ledger adds up to the byte, and rates are extrapolated",
    "fdscope_lost_updates_total": "any at all since the start matter, however long ago",
    "fdscope_probe_missed_runs_total": "any at all since the start matter, however long ago",
}
# Windows other than $__rate_interval, each with its reason.
OTHER_WINDOWS = {
    "$__range": "events of the chosen time, however rare",
    "60s": "now, whatever the width of the panel",
    "300s": "now and an hour before",
    "30m:1m": "the slope of a gauge, which is no rate",
}
NO_UNIT = {
    "nodeGraph": "has a unit in its options",
    "text": "has no number",
    "state-timeline": "shows words",
}
NO_TARGET = {"text"}


def test_one_data_source_variable(dashboard: Json) -> None:
    variables = [v for v in dashboard["templating"]["list"] if v["type"] == "datasource"]
    assert [(v["name"], v["label"], v["query"]) for v in variables] == [
        ("datasource", "Data source", "prometheus")
    ]


@pytest.mark.parametrize("name", ["job", "instance"])
def test_variables_for_the_target(dashboard: Json, name: str) -> None:
    (variable,) = [v for v in dashboard["templating"]["list"] if v["name"] == name]
    assert variable["label"] == name.capitalize()
    assert variable["multi"]
    assert variable["allValue"] == ".+"
    assert variable["datasource"]["uid"] == "${datasource}"
    assert variable["query"].startswith("label_values(")


def test_query_variables_follow_the_time(dashboard: Json) -> None:
    queries = [v for v in dashboard["templating"]["list"] if v["type"] == "query"]
    assert queries
    assert all(v["refresh"] == 2 for v in queries)


def test_nobody_edits_what_is_generated(dashboard: Json) -> None:
    assert dashboard["editable"] is False
    assert dashboard["schemaVersion"] == 42
    assert dashboard["description"]
    assert dashboard["tags"] == ["fdscope"]


def test_refresh_is_no_faster_than_the_data(dashboard: Json) -> None:
    assert int(dashboard["refresh"].removesuffix("s")) >= 5


@pytest.mark.parametrize("panel", all_panels())
def test_a_panel_says_what_it_is(panel: Json) -> None:
    assert panel["title"]
    assert panel["type"] == "text" or len(panel["description"]) > 20
    assert panel["type"] in NO_TARGET or panel["targets"]


@pytest.mark.parametrize("panel", all_panels())
def test_a_panel_has_a_unit_and_a_text_for_nothing(panel: Json) -> None:
    if panel["type"] == "text":
        return
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["noValue"]
    assert panel["type"] in NO_UNIT or defaults["unit"]


@pytest.mark.parametrize("panel", all_panels())
def test_panels_and_queries_use_the_chosen_data_source(panel: Json) -> None:
    for part in (panel, *panel.get("targets", ())):
        if part.get("type") != "text":
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@pytest.mark.parametrize("target", all_targets())
def test_every_selector_is_of_the_chosen_targets(target: dict[str, Any]) -> None:
    for selector in re.findall(r"\w+\{([^}]*)\}", target["expr"]):
        assert re.search(r'job=~"\$job\|?"', selector)
        assert re.search(r'instance=~"\$instance\|?"', selector)


@pytest.mark.parametrize("target", all_targets())
def test_windows_follow_the_resolution(target: dict[str, Any]) -> None:
    for window in re.findall(r"[})]\[([^\]]*)\]", target["expr"]):
        assert window == "$__rate_interval" or window in OTHER_WINDOWS


@pytest.mark.parametrize("panel", all_panels())
def test_numbers_of_now_have_a_window_that_the_title_names(panel: Json) -> None:
    for target in panel.get("targets", ()):
        if target["instant"]:
            assert "$__rate_interval" not in target["expr"]
            if re.search(r"offset 6\ds", target["expr"]):
                assert "last minute" in panel["title"]
            if "offset 300s" in target["expr"]:
                assert "last five minutes" in panel["title"]


def test_panels_of_a_host_follow_its_fd_types_or_say_that_they_do_not() -> None:
    for panel in panels(DASHBOARDS["host"]):
        following = {"$fd_type" in target["expr"] for target in panel["targets"]}
        assert following == {not panel["title"].endswith(", all fd types")}, panel["title"]


def _labels_before(expression: str, selector: re.Match[str]) -> str:
    """The labels by which a selector's series are summed."""
    return expression[: selector.start()].rpartition("sum by (")[2].partition(")")[0]


@pytest.mark.parametrize("target", all_targets())
def test_counters_are_looked_at_by_their_growth(target: dict[str, Any]) -> None:
    expression = target["expr"]
    for match in re.finditer(r"(\w+_total)\{[^}]*\}", expression):
        compared_with_before = f"- sum by ({_labels_before(expression, match)}) ({match[0]} offset "
        grows = compared_with_before in expression or re.search(
            r"(rate|increase)\($", expression[: match.start()]
        )
        assert grows or match.group(1).startswith(tuple(RAW_COUNTERS)), match.group(1)


@pytest.mark.parametrize("target", all_targets())
def test_lines_per_process_are_bounded_or_of_one_process(target: dict[str, Any]) -> None:
    """Only tables and event lists may have a row for each of many processes."""
    expression = target["expr"]
    if target["format"] == "table" or "by (process" not in expression:
        return
    assert re.search(r"topk|> 0|\$process", expression)
