# SPDX-License-Identifier: GPL-2.0-only
"""A drawing in the making: boxes, numbers, and the flows between them."""

from collections import defaultdict
from typing import Any

from dashboards import canvas
from dashboards.canvas import Flow, Place


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
        self.texts.append(canvas.number(f"number {field}", field, place, size))

    def note(self, text: str, place: Place, size: int = 13) -> None:
        """Write a line into a box."""
        self.texts.append(canvas.label(f"text {text}", text, place, size, "center"))

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
            canvas.box(name, self.titles[name], place, tuple(self.flows[name]), self.links[name])
            for name, place in self.places.items()
        ]
        return boxes + self.texts
