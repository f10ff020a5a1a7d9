# SPDX-License-Identifier: GPL-2.0-only
"""Panels that draw: lines, bars over time, heatmaps, charts, graphs."""

from typing import Any, ClassVar

import attr

from dashboards.panels import THRESHOLDS, Panel
from dashboards.queries import Query

TOOLTIP = {"mode": "multi", "sort": "desc"}
LEGEND = {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []}
LEGEND_TABLE = {
    "showLegend": True,
    "displayMode": "table",
    "placement": "bottom",
    "calcs": ["last", "max"],
    "sortBy": "Last",
    "sortDesc": True,
}


BARS: dict[str, Any] = {
    "drawStyle": "bars",
    "fillOpacity": 70,
    "lineWidth": 0,
    "stacking": {"mode": "normal", "group": "A"},
}
"""Of a time series: what happens now and then, one upon the other."""


@attr.s(kw_only=True)
class TimeSeries(Panel):
    """Lines over time."""

    TYPE = "timeseries"
    OPTIONS: ClassVar[dict[str, Any]] = {"legend": LEGEND, "tooltip": TOOLTIP}
    CUSTOM: ClassVar[dict[str, Any]] = {
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "fillOpacity": 10,
        "showPoints": "never",
        "spanNulls": False,
        "axisBorderShow": False,
    }


def lines(title: str, description: str, *targets: Query, **more: Any) -> TimeSeries:
    """Lines over time, none below zero unless ``more`` says so."""
    size: dict[str, Any] = {"defaults": {"min": 0}, "rows": 9}
    return TimeSeries(title=title, description=description, targets=[*targets], **(size | more))


@attr.s(kw_only=True)
class StateTimeline(Panel):
    """Bars over time: what was when."""

    TYPE = "state-timeline"
    OPTIONS: ClassVar[dict[str, Any]] = {
        "legend": {"showLegend": False, "displayMode": "list", "placement": "bottom"},
        "tooltip": {"mode": "single", "sort": "none"},
        "mergeValues": True,
        "rowHeight": 0.8,
        "showValue": "auto",
    }
    CUSTOM: ClassVar[dict[str, Any]] = {"fillOpacity": 80, "lineWidth": 0}


@attr.s(kw_only=True)
class Heatmap(Panel):
    """A histogram over time; Viridis reads the same for everybody."""

    TYPE = "heatmap"
    SAYS_EMPTY = False
    OPTIONS: ClassVar[dict[str, Any]] = {
        "calculate": False,
        "cellGap": 1,
        "color": {
            "mode": "scheme",
            "scheme": "Viridis",
            "scale": "exponential",
            "exponent": 0.2,
            "steps": 128,
            "reverse": False,
            "fill": "dark-blue",
        },
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": True},
        "yAxis": {"axisPlacement": "left", "unit": "s"},
    }
    CUSTOM: ClassVar[dict[str, Any]] = {"scaleDistribution": {"type": "linear"}}


@attr.s(kw_only=True)
class BarChart(Panel):
    """Bars by a word; stacked to a whole with ``stacking``."""

    TYPE = "barchart"
    OPTIONS: ClassVar[dict[str, Any]] = {
        "orientation": "horizontal",
        "barWidth": 0.8,
        "barRadius": 0,
        "groupWidth": 0.8,
        "fullHighlight": False,
        "showValue": "never",
        "stacking": "normal",
        "legend": LEGEND,
        "tooltip": TOOLTIP,
        "xTickLabelRotation": 0,
        "xTickLabelSpacing": 0,
    }
    CUSTOM: ClassVar[dict[str, Any]] = {"fillOpacity": 85, "lineWidth": 0, "axisBorderShow": False}


@attr.s(kw_only=True)
class NodeGraph(Panel):
    """Circles and arrows, all from data."""

    TYPE = "nodeGraph"
    SAYS_EMPTY = False
    OPTIONS: ClassVar[dict[str, Any]] = {
        "layoutAlgorithm": "layered",
        "zoomMode": "cooperative",
    }


@attr.s(kw_only=True)
class Canvas(Panel):
    """A drawing whose parts take width, colour and text from data."""

    TYPE = "canvas"
    COLOR = THRESHOLDS
    OPTIONS: ClassVar[dict[str, Any]] = {
        "inlineEditing": False,
        "panZoom": False,
        "showAdvancedTypes": True,
        "tooltip": {"mode": "single"},
        "zoomToContent": False,
    }
