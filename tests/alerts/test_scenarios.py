# SPDX-License-Identifier: GPL-2.0-only
"""``promtool test rules`` on the delivered rules: what must fire, and what must not."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from fdscope.dashboards.alerting.command import files
from fdscope.dashboards.alerting.groups import alert_names
from tests.alerts import scenarios_events, scenarios_fds, scenarios_flow, scenarios_itself
from tests.alerts.scenario import Scenario, promtool
from tests.paths import DEPLOY

DELIVERED = DEPLOY / "rules/fdscope.yml"
SELDOM = '[evaluation]\ninterval = "4m"\n'
"""For scenarios of days: with the delivered interval they would take minutes."""
HOURS = 600
"""Minutes of the longest scenario that is played with the delivered rules."""
SCENARIOS: tuple[Scenario, ...] = (
    *scenarios_events.SCENARIOS,
    *scenarios_fds.SCENARIOS,
    *scenarios_flow.SCENARIOS,
    *scenarios_itself.SCENARIOS,
)


def test_just_these_alerts_fire_within_hours(tmp_path: Path) -> None:
    play(DELIVERED, [scenario for scenario in SCENARIOS if scenario.at <= HOURS], tmp_path)


def test_just_these_alerts_fire_after_days(tmp_path: Path) -> None:
    config, rules = tmp_path / "seldom.toml", tmp_path / "rules.yml"
    config.write_text(SELDOM)
    rules.write_text(files(config)["rules/fdscope.yml"])
    play(rules, [scenario for scenario in SCENARIOS if scenario.at > HOURS], tmp_path)


def play(rules: Path, scenarios: Sequence[Scenario], folder: Path) -> None:
    tests = {
        "rule_files": [str(rules)],
        "evaluation_interval": "1m",
        "tests": [promtool(scenarios)],
    }
    file = folder / "tests.yml"
    file.write_text(json.dumps(tests, indent=1))
    run = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True)
    hosts = "\n".join(f"host{n}: {s.alert}, {s.about}" for n, s in enumerate(scenarios))
    assert run.returncode == 0, f"{run.stdout}{run.stderr}{hosts}"


@pytest.mark.parametrize("alert", alert_names())
def test_every_alert_has_scenarios_in_which_it_fires_and_does_not(alert: str) -> None:
    def fires(scenario: Scenario) -> bool:
        return alert in (alarm.name for alarm in scenario.fires)

    about = [scenario for scenario in SCENARIOS if scenario.alert == alert]
    assert any(fires(scenario) for scenario in about)
    assert any(not fires(scenario) for scenario in about)
