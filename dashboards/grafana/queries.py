# SPDX-License-Identifier: GPL-2.0-only
"""Queries of panels, as Grafana's Prometheus data source reads them."""

from typing import Any

import attr
from grafanalib import core

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


@attr.s(kw_only=True)
class Query(core.Target):  # type: ignore[misc] # grafanalib has no types
    """A PromQL query: over the time range, or ``instant`` for its end only."""

    expr: str = attr.ib()
    format: str = attr.ib(default="time_series")
    legendFormat: str = attr.ib(default="")  # noqa: N815 - grafanalib's name
    refId: str = attr.ib(default="")  # noqa: N815 - grafanalib's name
    instant: bool = attr.ib(default=False)
    interval: str = attr.ib(default="")

    def to_json_data(self) -> dict[str, Any]:
        """As Grafana's Prometheus data source reads it."""
        query = {
            "datasource": DATASOURCE,
            "editorMode": "code",
            "expr": self.expr,
            "format": self.format,
            "instant": self.instant,
            "range": not self.instant,
            "legendFormat": self.legendFormat or "__auto",
            "refId": self.refId,
        }
        return query | ({"interval": self.interval} if self.interval else {})


def query(expression: str, legend: str = "", ref_id: str = "") -> Query:
    """Query a range: one line per series."""
    return Query(expr=expression, legendFormat=legend, refId=ref_id)


def heatmap_query(expression: str) -> Query:
    """Query the buckets of a histogram over a range."""
    return Query(expr=expression, legendFormat="{{le}}", format="heatmap")


def instant(expression: str, legend: str = "", ref_id: str = "") -> Query:
    """Query the end of the range: one number per series."""
    return Query(expr=expression, legendFormat=legend, refId=ref_id, instant=True)


def table(expression: str, ref_id: str = "") -> Query:
    """Query the end of the range: one row per series, one column per label."""
    return Query(expr=expression, format="table", refId=ref_id, instant=True)
