# SPDX-License-Identifier: GPL-2.0-only
"""Elements of a canvas panel: boxes that hold a number, and flows between them.

Places are in percent of the panel, so that a drawing fits every width. A flow takes its colour from
the field ``name`` and its width from the field ``name share``; both are names of queries.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

SHARE = " share"
_TEXT = {"fixed": "text"}
_CLEAR = {"fixed": "transparent"}


@dataclass(frozen=True, slots=True)
class Place:
    """A rectangle, in percent of the panel."""

    left: float
    top: float
    width: float
    height: float

    def as_json(self) -> dict[str, Any]:
        """As distances from the four sides: the element grows with the panel."""
        return {
            "left": round(self.left, 2),
            "top": round(self.top, 2),
            "right": round(100 - self.left - self.width, 2),
            "bottom": round(100 - self.top - self.height, 2),
        }


@dataclass(frozen=True, slots=True)
class Flow:
    """An arrow from an element's side to another's; x and y go from -1 to 1, y upwards."""

    field: str
    to: str
    start: tuple[float, float]
    end: tuple[float, float]


def _element(name: str, kind: str, place: Place, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "type": kind,
        "placement": place.as_json(),
        "constraint": {"horizontal": "scale", "vertical": "scale"},
        "background": {"color": _CLEAR},
        "border": {"color": _CLEAR, "width": 0, "radius": 0},
        "config": config,
        "connections": [],
        "links": [],
    }


def _connection(flow: Flow) -> dict[str, Any]:
    return {
        "source": {"x": flow.start[0], "y": flow.start[1]},
        "target": {"x": flow.end[0], "y": flow.end[1]},
        "targetName": flow.to,
        "path": "straight",
        "color": {"field": flow.field, "fixed": "text"},
        "size": {"field": flow.field + SHARE, "fixed": 1, "min": 1, "max": 5},
        "direction": {"mode": "fixed", "fixed": "forward"},
        "lineStyle": {"style": "dashed", "animate": True},
    }


def label(
    name: str, text: str, place: Place, size: int = 12, align: str = "left"
) -> dict[str, Any]:
    """Fixed text."""
    return _element(
        name,
        "text",
        place,
        {
            "align": align,
            "valign": "middle",
            "size": size,
            "color": _TEXT,
            "text": {"mode": "fixed", "fixed": text},
        },
    )


def box(
    name: str, title: str, place: Place, flows: tuple[Flow, ...] = (), link: str = ""
) -> dict[str, Any]:
    """A frame with a title; flows leave it."""
    element = _element(
        name,
        "rectangle",
        place,
        {
            "align": "center",
            "valign": "top",
            "size": 13,
            "color": _TEXT,
            "text": {"mode": "fixed", "fixed": title},
        },
    )
    element["border"] = {"color": {"fixed": "#808080"}, "width": 1, "radius": 4}
    element["background"] = {"color": {"fixed": "rgba(128, 128, 128, 0.10)"}}
    element["connections"] = [_connection(flow) for flow in flows]
    if link:
        element["links"] = [{"title": title, "url": link, "targetBlank": False, "oneClick": True}]
    return element


def number(name: str, field: str, place: Place, size: int = 14) -> dict[str, Any]:
    """The value of a field, e.g. in the lower half of a box."""
    return _element(
        name,
        "metric-value",
        place,
        {
            "align": "center",
            "valign": "middle",
            "size": size,
            "color": _TEXT,
            "text": {"mode": "field", "field": field, "fixed": ""},
        },
    )


def root(elements: list[dict[str, Any]]) -> dict[str, Any]:
    """The frame around all."""
    return {
        "name": "layers",
        "type": "frame",
        "background": {"color": _CLEAR},
        "border": {"color": _CLEAR},
        "constraint": {"horizontal": "left", "vertical": "top"},
        "placement": {"left": 0, "top": 0, "width": 100, "height": 100},
        "elements": elements,
    }


# A drawing in the making: boxes, numbers, and the flows between them.


class Drawing:
    """Elements and the flows between them; a flow belongs to the element that it leaves."""

    def __init__(self) -> None:
        self.places: dict[str, Place] = {}
        self.titles: dict[str, str] = {}
        self.links: dict[str, str] = {}
        self.flows: dict[str, list[Flow]] = defaultdict(list)
        self.texts: list[dict[str, Any]] = []

    def box(self, name: str, title: str, place: Place, link: str = "") -> None:
        """Draw a box."""
        self.places[name], self.titles[name], self.links[name] = place, title, link

    def number(self, field: str, place: Place, size: int = 15) -> None:
        """Write the value of a field."""
        self.texts.append(number(f"number {field}", field, place, size))

    def note(self, text: str, place: Place, size: int = 13) -> None:
        """Write a line into a box."""
        self.texts.append(label(f"text {text}", text, place, size, "center"))

    def flow(self, field: str, upper: str, lower: str, middle: float, reach: float) -> None:
        """Draw what is sent downwards and what is received upwards, side by side."""
        above, below = self.places[upper], self.places[lower]

        def x(place: Place, at: float) -> float:
            return round(2 * (at - place.left) / place.width - 1, 4)

        down, up = middle - reach, middle + reach
        self.flows[upper].append(
            Flow(f"{field} sent", lower, (x(above, down), -1), (x(below, down), 1))
        )
        self.flows[lower].append(
            Flow(f"{field} received", upper, (x(below, up), 1), (x(above, up), -1))
        )

    def elements(self) -> list[dict[str, Any]]:
        """Everything, the texts on top."""
        boxes = [
            box(name, self.titles[name], place, tuple(self.flows[name]), self.links[name])
            for name, place in self.places.items()
        ]
        return boxes + self.texts
