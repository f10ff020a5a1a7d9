# SPDX-License-Identifier: GPL-2.0-only
"""The delivered rules: up to date, accepted by promtool, and only about existing metrics."""

import json
import re
import subprocess
from itertools import chain

import pytest
import yaml

from fdscope.dashboards.alerting.command import files
from fdscope.dashboards.alerting.groups import from_file
from fdscope.dashboards.alerting.model import Alert, Record
from fdscope.dashboards.promql.selectors import TARGET_LABELS
from fdscope.exporter.catalog import CATALOG, ENDED
from tests.paths import DEPLOY, ROOT

RULES = [rule for group in from_file(None)[1] for rule in group.rules]
ALERTS = [rule for rule in RULES if isinstance(rule, Alert)]
RECORDS = [rule for rule in RULES if isinstance(rule, Record)]
HEADINGS = (
    "What it means",
    "What to look at",
    "How to confirm",
    "How to silence it rightly",
)
LABELS = {ENDED.name, "days", "step", *TARGET_LABELS, *chain(*(m.label_names for m in CATALOG))}


@pytest.mark.parametrize("name", files(None))
def test_delivered_files_are_fresh(name: str) -> None:
    fresh = (DEPLOY / name).read_text() == files(None)[name]
    assert fresh, f"deploy/{name} is out of date: run fdscope rules --out deploy"


@pytest.mark.parametrize("name", ["rules/fdscope.yml", "records/fdscope.yml"])
def test_prometheus_accepts_them(name: str) -> None:
    run = subprocess.run(
        ["promtool", "check", "rules", "--lint-fatal", DEPLOY / name],
        capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, f"{run.stdout}{run.stderr}"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_expressions_name_only_what_there_is(rule: Alert | Record) -> None:
    names = {metric.name for metric in CATALOG} | {record.name for record in RECORDS} | {"up"}
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', rule.expression)
    assert set(re.findall(r"[a-z_]*:?fdscope_[a-z0-9_:]+", bare)) <= names
    lists = re.findall(r"(?:without|on|group_left|by) \(([^()]*)\)", bare)
    matchers = re.findall(r"([a-z_]+)(?:=~|!~|!=|=)\"\"", bare)
    grouped = (name.strip() for text in lists for name in text.split(","))
    assert {*grouped, *matchers} - {""} <= LABELS


@pytest.mark.parametrize("record", RECORDS, ids=lambda rule: rule.name)
def test_a_record_is_named_by_level_metric_and_operations(record: Record) -> None:
    level, metric, operation = record.name.split(":")
    assert level == "_".join(("instance", *record.label_names))
    assert metric.startswith("fdscope_")
    assert re.fullmatch(r"(rate|sum|max|group)[a-z0-9_]*", operation)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda rule: rule.name)
def test_style(alert: Alert) -> None:
    assert re.fullmatch(r"Fdscope([A-Z][a-z0-9]+)+", alert.name)
    assert alert.severity in ("critical", "warning", "info")
    assert alert.summary.endswith(".")
    assert "{{" not in alert.summary
    assert set(re.findall(r"\$labels\.(\w+)", alert.description)) <= {
        *alert.label_names,
        "instance",
    }
    assert "$labels.instance" in alert.description


@pytest.mark.parametrize("alert", ALERTS, ids=lambda rule: rule.name)
def test_every_alert_has_a_runbook(alert: Alert) -> None:
    text = (ROOT / f"docs/runbooks/{alert.name}.md").read_text()
    assert text.startswith(f"# {alert.name}\n\n**{alert.severity}**: ")
    assert tuple(re.findall(r"^## (.*)$", text, re.MULTILINE)) == HEADINGS
    confirm = text.split("## How to confirm")[1].split("## ")[0]
    for tool in ("lsof", "ss ", "/proc"):
        assert tool in confirm
    for link in re.findall(r"\]\(([^)]*)\)", text):
        assert (ROOT / "docs/runbooks" / link).exists(), link


def test_no_runbook_without_alert() -> None:
    pages = {page.stem for page in (ROOT / "docs/runbooks").glob("*.md")}
    assert pages == {alert.name for alert in ALERTS}


def test_links_lead_somewhere() -> None:
    rules = [
        rule
        for group in yaml.safe_load((DEPLOY / "rules/fdscope.yml").read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
    built = (DEPLOY / "grafana/dashboards").glob("*.json")
    dashboards = {json.loads(file.read_text())["uid"] for file in built}
    for rule in rules:
        page = rule["annotations"]["runbook_url"].rpartition("/")[2]
        assert (ROOT / "docs/runbooks" / page).exists()
        url = rule["annotations"]["dashboard_url"]
        assert url.partition("/d/")[2].partition("?")[0] in dashboards


def test_names_of_rules_are_unique() -> None:
    names = [(r.name, tuple(r.labels.items())) for r in RECORDS] + [(a.name, ()) for a in ALERTS]
    assert len(names) == len(set(names))


def test_the_table_of_alerts_is_fresh() -> None:
    table = re.findall(
        r"^\| \[(\w+)\]\(runbooks/(\w+)\.md\) \| (\w+) \| (.*) \|$",
        (ROOT / "docs/alerts.md").read_text(),
        re.MULTILINE,
    )
    expected = [(a.name, a.name, a.severity, a.summary) for a in ALERTS]
    assert sorted(table) == sorted(expected)
