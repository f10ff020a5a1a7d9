# SPDX-License-Identifier: GPL-2.0-only
"""The example configuration of Alertmanager, by its own tool, and Grafana's provisioning."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from fdscope.dashboards.alerting.groups import alert_names
from tests.paths import DEPLOY

CONFIG = DEPLOY / "prometheus/alertmanager.yml"


def amtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["amtool", *arguments], capture_output=True, text=True)


def test_alertmanager_accepts_it() -> None:
    run = amtool("check-config", CONFIG)
    assert run.returncode == 0, f"{run.stdout}{run.stderr}"


@pytest.mark.parametrize(
    ("severity", "receiver"),
    [
        ("critical", "act-now"),
        ("warning", "act-later"),
        ("info", "look-at-it-later"),
        ("none", "look-at-it-later"),
    ],
)
def test_routes_by_severity(severity: str, receiver: str) -> None:
    run = amtool("config", "routes", "test", f"--config.file={CONFIG}", f"severity={severity}")
    assert run.stdout.split() == [receiver]


def test_it_names_only_alerts_that_there_are() -> None:
    names = re.findall(r"alertname = (\w+)", CONFIG.read_text())
    assert names
    assert set(names) <= set(alert_names())


def test_grafana_has_the_same_alerts() -> None:
    content = yaml.safe_load((DEPLOY / "grafana/alerting/fdscope.yml").read_text())
    rules = [rule for group in content["groups"] for rule in group["rules"]]
    assert [rule["title"] for rule in rules] == list(alert_names())
    assert len({rule["uid"] for rule in rules}) == len(rules)
    for rule in rules:
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", rule["uid"])
        assert {"uid", "title", "condition", "data", "noDataState", "execErrState", "for"} <= set(
            rule
        )
        assert rule["condition"] in [query["refId"] for query in rule["data"]]
        asked = rule["data"][0]["model"]["expr"]
        # Unescaped, Grafana would read it as an environment variable.
        assert not re.search(r"(?<!\$)\$(?!\$)", asked)
    for group in content["groups"]:
        assert int(group["interval"].removesuffix("s")) % 10 == 0
