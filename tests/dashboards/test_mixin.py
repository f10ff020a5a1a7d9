# SPDX-License-Identifier: GPL-2.0-only
"""The mixin, by a real jsonnet: its output is the shipped rules and dashboards."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from fdscope.dashboards import mixin
from fdscope.dashboards.alerting.command import files
from fdscope.dashboards.alerting.groups import alert_names
from fdscope.dashboards.alerting.reading import load
from tests.dashboards.made import DASHBOARDS
from tests.paths import DEPLOY

needs_jsonnet = pytest.mark.skipif(
    not shutil.which("jsonnet"), reason="no jsonnet on PATH (the package jsonnet)"
)


def made(config: str = "{}") -> dict[str, Any]:
    """What jsonnet makes of the mixin with a change of its configuration."""
    code = f"""
        local mixin = (import 'mixin.libsonnet') + {{ _config+:: {config} }};
        {{
          alerts: mixin.prometheusAlerts,
          records: mixin.prometheusRules,
          dashboards: mixin.grafanaDashboards,
        }}
    """
    command = ["jsonnet", "-J", str(DEPLOY / "mixin"), "-e", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def rules(content: Mapping[str, Any], kind: str) -> dict[str, list[Any]]:
    """The rules of a kind by the names of their groups."""
    by_group = {
        group["name"]: [rule for rule in group["rules"] if kind in rule]
        for group in content["groups"]
    }
    return {name: found for name, found in by_group.items() if found}


def test_the_files_are_fresh() -> None:
    assert mixin.main(["--check"]) == 0, "run make generate"


@needs_jsonnet
def test_the_output_is_what_is_shipped() -> None:
    output = made()
    shipped = yaml.safe_load((DEPLOY / "rules/fdscope.yml").read_text())
    for part, kind in (("alerts", "alert"), ("records", "record")):
        assert rules(output[part], kind) == rules(shipped, kind)
        intervals = {group["name"]: group["interval"] for group in shipped["groups"]}
        for group in output[part]["groups"]:
            assert group["interval"] == intervals[group["name"]]
            assert all(kind in rule for rule in group["rules"])
    assert output["records"] == yaml.safe_load((DEPLOY / "records/fdscope.yml").read_text())
    assert output["dashboards"] == {f"{name}.json": each for name, each in DASHBOARDS.items()}


@needs_jsonnet
def test_each_parameter_does_what_the_setting_of_its_name_does(tmp_path: Path) -> None:
    """All are changed at once, to values that are found again."""
    numbers = {
        key: value + 7 if isinstance(value, int) else value / 8
        for key, value in mixin.thresholds(load(None))
    }
    lines = ['job = "a\\"b"', "[links]", 'runbooks = "https://r"', 'grafana = "https://g"']
    for key, value in numbers.items():
        table, _, name = key.partition(".")
        lines += [f"[{table}]"] * (f"[{table}]" not in lines) + [f"{name} = {value}"]
    lines += ["[severity]", 'FdscopeIoSpike = "warning"', 'FdscopeFdLeak = "off"']
    own = tmp_path / "own.toml"
    own.write_text("\n".join(lines))
    expected = yaml.safe_load(files(own)["rules/fdscope.yml"])
    config = {
        "job": 'a"b',
        "runbooks": "https://r",
        "grafana": "https://g",
        "thresholds": numbers,
        "severity": {"FdscopeIoSpike": "warning", "FdscopeFdLeak": "off"},
    }
    assert rules(made(json.dumps(config))["alerts"], "alert") == rules(expected, "alert")


@needs_jsonnet
def test_one_threshold_can_be_changed_alone_and_all_alerts_be_off() -> None:
    output = made("{ thresholds+: { 'fd-limit.ratio': 0.5 } }")
    text = json.dumps(output["alerts"])
    assert "fdscope_fd_limit_ratio > 0.5 <= 1" in text
    off = dict.fromkeys(alert_names(), "off")
    assert made(json.dumps({"severity": off}))["alerts"] == {"groups": []}


@needs_jsonnet
def test_prometheus_takes_the_rules(tmp_path: Path) -> None:
    if not shutil.which("promtool"):
        pytest.skip("no promtool on PATH (the package prometheus)")
    output = made()
    for part in ("alerts", "records"):
        file = tmp_path / f"{part}.yml"
        file.write_text(yaml.safe_dump(output[part]))
        subprocess.run(["promtool", "check", "rules", file], check=True, capture_output=True)
