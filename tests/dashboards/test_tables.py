# SPDX-License-Identifier: GPL-2.0-only
"""The order of rows in tables, by Grafana's own code, of answers that are given here."""

from collections.abc import Mapping
from typing import Any

from tests.dashboards.grafana_code import drawn_from
from tests.dashboards.made import DASHBOARDS, Json, panels


def _panel(dashboard: str, title: str) -> Json:
    return next(p for p in panels(DASHBOARDS[dashboard]) if p["title"] == title)


def _answer(label: str, values: Mapping[str, float]) -> Any:
    result = [
        {"metric": {label: name}, "value": [1700000000, str(value)]}
        for name, value in values.items()
    ]
    return {"resultType": "vector", "result": result}


def _rows(panel: Json, label: str, **columns: Mapping[str, float]) -> dict[str, list[Any]]:
    answers = {name: _answer(label, values) for name, values in columns.items()}
    (frame,) = drawn_from(panel, answers).values()
    return frame


def test_hooks_that_are_not_attached_come_first() -> None:
    state = {"vfs_read": 1, "vfs_write": 0, "splice": 1}
    rows = _rows(_panel("itself", "Hooks"), "function", state=state)
    assert rows["function"][0] == "vfs_write"
    assert rows["state"] == [0, 1, 1]


def test_silent_instances_come_first_and_then_the_busiest() -> None:
    rows = _rows(
        _panel("fleet", "Instances, last minute"),
        "instance",
        up={"idle": 1, "busy": 1, "silent": 0},
        file={"idle": 5, "busy": 500},
        order={"idle": 5, "busy": 500, "silent": 1e18},
    )
    assert rows["instance"] == ["silent", "busy", "idle"]
    assert "order" not in rows


def test_the_ledger_has_the_largest_first_and_both_directions_beside_each_other() -> None:
    rows = _rows(
        _panel("socket_is_a_file", "The ledger: every byte explained"),
        "fd_type",
        all={"udp": 30, "tcp": 542_111_076_123},
        sentdoors={"udp": 10, "tcp": 2_111_076_123},
        receiveddoors={"udp": 20, "tcp": 540_000_000_000},
    )
    assert rows["fd type"] == ["tcp", "udp"]
    assert rows["sent: through doors"] == [2_111_076_123, 10]
    assert rows["received: through doors"] == [540_000_000_000, 20]
    assert "both" not in rows
    defaults = _panel("socket_is_a_file", "The ledger: every byte explained")["fieldConfig"]
    assert defaults["defaults"]["unit"] == "locale"  # thousands separators, no rounding


def test_a_process_in_a_container_has_its_names_and_the_others_keep_their_rows() -> None:
    processes = [("nginx", "0123456789ab"), ("nginx", "ba9876543210"), ("sshd", "ssh.service")]

    def answer(value: float, **more: str) -> Any:
        result = [
            {"metric": {"process": process, "unit": unit}, "value": [1700000000, str(value + n)]}
            for n, (process, unit) in enumerate(processes)
        ]
        result[0]["metric"] |= more  # type: ignore[operator]
        return {"resultType": "vector", "result": result}

    names = answer(1, container="web", namespace="shop", pod="web-0")
    del names["result"][2]  # a unit without fdscope_unit_info
    panel = _panel("host", "Processes, last minute")
    (rows,) = drawn_from(
        panel, {"read": answer(10), "written": answer(20), "names": names}
    ).values()
    assert rows["process"] == ["sshd", "nginx", "nginx"]
    assert rows["unit"] == ["ssh.service", "ba9876543210", "0123456789ab"]
    assert [name or "" for name in rows["container"]] == ["", "", "web"]
    assert [name or "" for name in rows["pod"]] == ["", "", "web-0"]
    assert rows["written"] == [22, 21, 20]
    assert "names" not in rows
