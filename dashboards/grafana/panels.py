# SPDX-License-Identifier: GPL-2.0-only
"""The core panels of Grafana that fdscope uses; grafanalib lacks most of them.

Each class has the panel's type and common options; a dashboard can override them.
"""

from copy import deepcopy
from typing import Any, ClassVar

import attr
from grafanalib import core

from fdscope.dashboards.grafana import style
from fdscope.dashboards.grafana.queries import DATASOURCE, Query, instant

THRESHOLDS = {"mode": "thresholds"}
LAST = {"calcs": ["lastNotNull"], "fields": "", "values": False}


@attr.s(kw_only=True)
class Panel(core.Panel):  # type: ignore[misc] # grafanalib has no types
    """Base of all panels: a description, a unit, and a text for an empty result."""

    TYPE: ClassVar[str]
    OPTIONS: ClassVar[dict[str, Any]] = {}
    CUSTOM: ClassVar[dict[str, Any]] = {}
    DEFAULTS: ClassVar[dict[str, Any]] = {}
    COLOR: ClassVar[dict[str, str]] = {"mode": "palette-classic"}
    SAYS_EMPTY: ClassVar[bool] = True
    """True if Grafana shows the text for an empty result; else it is added to the description."""

    title: str = attr.ib()
    description: str = attr.ib(default="")
    targets: list[Query] = attr.ib(factory=list)
    transformations: list[dict[str, Any]] = attr.ib(factory=list)
    thresholds: list[dict[str, Any]] = attr.ib(factory=list)
    links: list[dict[str, Any]] = attr.ib(factory=list)
    width: int = attr.ib(default=12)
    rows: int = attr.ib(default=8)
    """Height, in rows of the grid."""
    unit: str = attr.ib(default="short")
    empty: str = attr.ib(default="nothing of this kind in the chosen time")
    defaults: dict[str, Any] = attr.ib(factory=dict)
    custom: dict[str, Any] = attr.ib(factory=dict)
    options: dict[str, Any] = attr.ib(factory=dict)
    overrides: list[dict[str, Any]] = attr.ib(factory=list)

    def to_json_data(self) -> dict[str, Any]:
        """Merge the class's settings and this panel's."""
        defaults: dict[str, Any] = {"color": self.COLOR, "noValue": self.empty} | self.DEFAULTS
        defaults |= {"links": self.links} if self.links else {}
        if self.unit:
            defaults["unit"] = self.unit
        if self.thresholds:
            defaults["thresholds"] = {"mode": self.thresholdType, "steps": self.thresholds}
        custom = self.CUSTOM | self.custom
        panel: dict[str, Any] = self.panel_json({})
        if not self.SAYS_EMPTY:
            panel["description"] += f' "No data" means: {self.empty}.'
        panel |= {
            "type": self.TYPE,
            "datasource": DATASOURCE,
            "links": None,
            "maxDataPoints": None,
            "fieldConfig": {
                "defaults": defaults | ({"custom": custom} if custom else {}) | self.defaults,
                "overrides": self.overrides,
            },
            "options": deepcopy(self.OPTIONS) | self.options,
        }
        return panel


@attr.s(kw_only=True)
class Stat(Panel):
    """One number, or a few, without a sparkline."""

    TYPE = "stat"
    COLOR = THRESHOLDS
    OPTIONS: ClassVar[dict[str, Any]] = {
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "percentChangeColorMode": "standard",
        "reduceOptions": LAST,
        "showPercentChange": False,
        "textMode": "auto",
        "wideLayout": True,
    }


def stat(title: str, description: str, expression: str, **more: Any) -> Stat:
    """One number, for the head of a dashboard."""
    size: dict[str, Any] = {"width": 4, "rows": 4}
    targets = [instant(expression)]
    return Stat(title=title, description=description, targets=targets, **(size | more))


def number(
    title: str, description: str, expression: str, unit: str, color: str, idle: str | None = None
) -> Stat:
    """One number with a colour; ``idle`` is the colour of zero."""
    steps = style.thresholds((idle or color, None), (color, 0.001))
    return stat(title, description, expression, unit=unit, thresholds=steps, empty="none")


@attr.s(kw_only=True)
class Gauge(Panel):
    """A share of a whole."""

    TYPE = "gauge"
    COLOR = THRESHOLDS
    OPTIONS: ClassVar[dict[str, Any]] = {
        "minVizHeight": 75,
        "minVizWidth": 75,
        "orientation": "auto",
        "reduceOptions": LAST,
        "showThresholdLabels": False,
        "showThresholdMarkers": True,
        "sizing": "auto",
    }


@attr.s(kw_only=True)
class BarGauge(Panel):
    """One bar per series."""

    TYPE = "bargauge"
    DEFAULTS: ClassVar[dict[str, Any]] = {"min": 0}
    COLOR: ClassVar[dict[str, str]] = {"mode": "fixed", "fixedColor": style.BLUE}
    OPTIONS: ClassVar[dict[str, Any]] = {
        "displayMode": "basic",
        "legend": {"showLegend": False, "displayMode": "list", "placement": "bottom", "calcs": []},
        "maxVizHeight": 60,
        "minVizHeight": 16,
        "minVizWidth": 8,
        "namePlacement": "left",
        "orientation": "horizontal",
        "reduceOptions": LAST,
        "showUnfilled": True,
        "sizing": "auto",
        "text": {"titleSize": 13, "valueSize": 15},
        "valueMode": "text",
    }

    def to_json_data(self) -> dict[str, Any]:
        """Make room for the longest name, which Grafana cuts off without its gap.

        Grafana measures trailing spaces of the name, and does not show them.
        """
        panel = super().to_json_data()
        panel["targets"] = [target.to_json_data() for target in self.targets]
        for target in panel["targets"]:
            target["legendFormat"] += "    "
        return panel


@attr.s(kw_only=True)
class Table(Panel):
    """Rows and columns."""

    TYPE = "table"
    COLOR = THRESHOLDS
    OPTIONS: ClassVar[dict[str, Any]] = {"cellHeight": "sm", "showHeader": True}
    CUSTOM: ClassVar[dict[str, Any]] = {
        "align": "auto",
        "cellOptions": {"type": "auto"},
        "minWidth": 70,
    }

    def to_json_data(self) -> dict[str, Any]:
        """Show empty cells, and pids and fds as plain numbers."""
        panel = super().to_json_data()
        panel["fieldConfig"]["overrides"][:0] = [
            style.override_matching(".*", noValue="-"),
            style.override_matching("^(pid|fd)$", unit="none"),
        ]
        panel["fieldConfig"]["defaults"].setdefault(
            "thresholds", {"mode": "absolute", "steps": style.thresholds(("text", None))}
        )
        return panel


@attr.s(kw_only=True)
class Text(Panel):
    """A Markdown panel."""

    TYPE = "text"

    def to_json_data(self) -> dict[str, Any]:
        """Text has neither query nor unit."""
        panel = super().to_json_data()
        for key in ("fieldConfig", "datasource", "targets"):
            panel.pop(key)
        return panel


def markdown(title: str, content: str, width: int = 24, rows: int = 4, **more: Any) -> Text:
    """Text, as Markdown."""
    options = {"mode": "markdown", "content": content.strip() + "\n"}
    return Text(title=title, options=options, width=width, rows=rows, **more)


# Panels that draw: lines, bars over time, heatmaps, charts, graphs.

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
"""Options of a time series of rare events: stacked bars."""


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
    """States over time, as bars."""

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
    """A histogram over time, in Viridis, which is safe for colour-blind people."""

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
    """A drawing whose parts get width, colour and text from data."""

    TYPE = "canvas"
    COLOR = THRESHOLDS
    OPTIONS: ClassVar[dict[str, Any]] = {
        "inlineEditing": False,
        "panZoom": False,
        "showAdvancedTypes": True,
        "tooltip": {"mode": "single"},
        "zoomToContent": False,
    }
