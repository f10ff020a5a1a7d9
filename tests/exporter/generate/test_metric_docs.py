# SPDX-License-Identifier: GPL-2.0-only
"""The tables of docs/: up to date, and with every meaning of a label."""

import re
from pathlib import Path

import pytest

from fdscope.exporter.catalog import CATALOG, Kind, Label, Metric
from fdscope.exporter.generate import metric_docs

ROOT = metric_docs.DOCS.parent
PAGES = (ROOT / "README.md", *sorted(metric_docs.DOCS.rglob("*.md")))


def metric(name: str, *labels: Label) -> Metric:
    return Metric(name, Kind.GAUGE, "Help.", labels)


def test_the_pages_are_fresh() -> None:
    assert metric_docs.stale() == [], "run python -m fdscope.exporter.generate.metric_docs"


def test_every_value_of_every_label_is_told_of_its_metric() -> None:
    rows = [
        (name, set(values.split(", ")), re.findall(r"`(\w+)`", metrics))
        for name, values, metrics in re.findall(
            r"^\| `(\w+)` \| .* \| ([^|]*) \| ([^|]*) \|$", metric_docs.label_table(), re.MULTILINE
        )
    ]
    for one in CATALOG:
        for label in one.labels:
            told = [
                values
                for name, values, metrics in rows
                if name == label.name and (not metrics or one.name in metrics)
            ]
            assert told == [set(label.values) or {""}], label


def test_two_meanings_of_one_name_must_say_so() -> None:
    read = Label("direction", "of a file", ("read", "written"))
    sent = Label("direction", "of a socket", ("sent", "received"))
    with pytest.raises(metric_docs.DocsError, match="label direction has several meanings"):
        metric_docs.label_table((metric("a", read), metric("b", sent)))
    one = Label("direction", "of a file", ("read", "written"), ambiguous=True)
    with pytest.raises(metric_docs.DocsError, match="must be True for 'of a socket' of b"):
        metric_docs.label_table((metric("a", one), metric("b", sent)))
    other = Label("direction", "of a socket", ("sent", "received"), ambiguous=True)
    table = metric_docs.label_table((metric("a", one), metric("b", other)))
    assert "| `direction` | of a file | read, written | `a` |" in table
    assert "| `direction` | of a socket | sent, received | `b` |" in table


def test_one_meaning_must_not_say_that_there_are_others() -> None:
    one = Label("direction", "of a file", ambiguous=True)
    with pytest.raises(metric_docs.DocsError, match="must be False"):
        metric_docs.label_table((metric("a", one), metric("b", one)))


def test_a_page_without_its_markers() -> None:
    with pytest.raises(metric_docs.DocsError, match=r"docs/blind-spots.md must hold"):
        metric_docs.generated("blind-spots.md", "nothing")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_that_exist(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    away = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert away == []
