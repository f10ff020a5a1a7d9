# SPDX-License-Identifier: GPL-2.0-only
"""Names that are out stay: the list of them against the catalog."""

from dataclasses import replace

from fdscope.exporter.catalog import CATALOG
from fdscope.exporter.catalog.model import Kind, Metric
from fdscope.exporter.generate.interface import LIST, broken, lines


def changed(index: int, metric: Metric) -> list[Metric]:
    return [*CATALOG[:index], metric, *CATALOG[index + 1 :]]


def test_the_list_is_the_catalog() -> None:
    assert LIST.read_text().splitlines() == lines()


def test_what_would_break_a_query_is_named() -> None:
    index, metric = next(
        (i, m) for i, m in enumerate(CATALOG) if m.kind is Kind.COUNTER and m.labels
    )
    listed = lines()
    renamed = changed(index, replace(metric, name="fdscope_new_total"))
    assert f"{metric.name} counter" in broken(listed, renamed)
    another_kind = changed(index, replace(metric, kind=Kind.GAUGE))
    assert f"{metric.name} counter" in broken(listed, another_kind)
    fewer_labels = changed(index, replace(metric, labels=metric.labels[1:]))
    assert f"{metric.name} {metric.labels[0].name}" in broken(listed, fewer_labels)


def test_a_value_that_is_gone_is_named() -> None:
    without = [replace(metric, labels=tuple(replace(label, values=label.values[1:])
                                            for label in metric.labels))
               for metric in CATALOG]  # fmt: skip
    assert "door=read_write" in broken(lines(), without)


def test_new_names_break_nothing() -> None:
    assert broken(lines(CATALOG[:-1])) == []
