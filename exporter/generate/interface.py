# SPDX-License-Identifier: GPL-2.0-only
"""Keeps the list of names that are out: metrics with their labels, and closed sets of values.

``python -m fdscope.exporter.generate.interface [--check]`` adds what is new. What is in the list
stays in the catalog: dashboards and alerts of others are built on it.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from fdscope.exporter.catalog import CATALOG, Metric

LIST = Path(__file__).resolve().parents[2] / "docs" / "interface.txt"


def _lines(catalog: Iterable[Metric]) -> Iterator[str]:
    for metric in catalog:
        yield f"{metric.name} {metric.kind.value}"
        for label in metric.labels:
            yield f"{metric.name} {label.name}"
            yield from (f"{label.name}={value}" for value in label.values)


def lines(catalog: Iterable[Metric] = CATALOG) -> list[str]:
    """All that a query can name, sorted: ``METRIC KIND``, ``METRIC LABEL``, ``LABEL=VALUE``."""
    return sorted(set(_lines(catalog)))


def broken(listed: Iterable[str], catalog: Iterable[Metric] = CATALOG) -> list[str]:
    """Lines of the list that the catalog no longer has."""
    return sorted(set(listed) - set(lines(catalog)))


def main(arguments: Sequence[str]) -> int:
    """Write the list, or check it; the exit status."""
    listed = LIST.read_text().splitlines() if LIST.exists() else []
    if gone := broken(listed):
        sys.stderr.write(f"names that are out were removed or changed: {', '.join(gone)}\n")
        return 1
    if "--check" in arguments:
        if listed == lines():
            return 0
        sys.stderr.write("docs/interface.txt lacks new names: run make generate\n")
        return 1
    LIST.write_text("".join(f"{line}\n" for line in lines()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
