# SPDX-License-Identifier: GPL-2.0-only
"""Tables of several queries: rows by labels, a column for each query."""

from collections.abc import Mapping, Sequence
from typing import Any

from fdscope.dashboards.grafana import style
from fdscope.dashboards.grafana.layout import process_link
from fdscope.dashboards.grafana.queries import Query, table


def column_queries(columns: Mapping[str, str]) -> list[Query]:
    """One query per column; the name of the query (letters only) selects the column."""
    return [table(expression, ref_id) for ref_id, expression in columns.items()]


def merged(
    keys: Sequence[str],
    titles: Mapping[str, str],
    sort_by: str = "",
    hide: Sequence[str] = (),
    descending: bool = True,
) -> list[dict[str, Any]]:
    """Transformations: one row per set of keys, a titled column per query.

    Rows are sorted by a key or a title, which may be that of a hidden column.
    """
    values = {f"Value #{ref_id}": title for ref_id, title in titles.items()}
    if len(titles) == 1:
        values = {"Value": next(iter(titles.values()))}
    labels = {key: key.replace("_", " ") for key in keys}
    organize = {
        "excludeByName": dict.fromkeys(("Time", *hide), True),
        "indexByName": {name: index for index, name in enumerate((*keys, *values))},
        "renameByName": labels | values,
    }
    steps: list[dict[str, Any]] = [{"id": "merge", "options": {}}]
    if sort_by:
        field = {title: name for name, title in values.items()}.get(sort_by, sort_by)
        options = {"sort": [{"field": field, "desc": descending}]}
        steps.append({"id": "sortBy", "options": options})
    return [*steps, {"id": "organize", "options": organize}]


def process_column() -> dict[str, Any]:
    """Link the names of processes to their dashboard."""
    return style.override("process", links=[process_link("${__value.raw:percentencode}")])


def bar_column(title: str, **properties: Any) -> dict[str, Any]:
    """Show a column as bars."""
    cell = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
    return style.override(title, custom_cellOptions=cell, **properties)
