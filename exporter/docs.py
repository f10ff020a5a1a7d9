# SPDX-License-Identifier: GPL-2.0-only
"""Writes the parts of README.md that other files decide: ``python -m exporter.docs [--check]``."""

import sys
from collections.abc import Callable
from pathlib import Path

from exporter.catalog import CATALOG, ENDED, Metric
from probes.blind_spots import BLIND_SPOTS
from probes.taxonomy import Mode

README = Path(__file__).parent.parent / "README.md"


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{name}`" for name in metric.label_names)
    return f"| `{metric.name}` | {metric.kind.value} | {labels} | {metric.help} |"


def metric_tables() -> str:
    """Markdown: every metric, then every label with its values."""
    labels = {label.name: label for metric in CATALOG for label in metric.labels}
    labels[ENDED.name] = ENDED
    label_rows = (
        f"| `{label.name}` | {label.help} | {', '.join(label.values)} |"
        for label in labels.values()
    )
    return "\n".join(
        (
            "| metric | kind | labels | meaning |",
            "|---|---|---|---|",
            *map(_row, CATALOG),
            "",
            "| label | meaning | values, where the set is closed |",
            "|---|---|---|",
            *label_rows,
        )
    )


def blind_spots() -> str:
    """Markdown: what is not traced, why, and in which modes."""
    modes: dict[tuple[str, str], list[str]] = {}
    for mode in Mode:
        for what, why in BLIND_SPOTS[mode]:
            modes.setdefault((what, why), []).append(mode.value)
    rows = (
        f"| {what} | {why} | {'all' if len(names) == len(Mode) else ', '.join(names)} |"
        for (what, why), names in modes.items()
    )
    return "\n".join(("| what | why | in mode |", "|---|---|---|", *rows))


PARTS: dict[str, Callable[[], str]] = {"metrics": metric_tables, "blind spots": blind_spots}


def generated(text: str) -> str:
    """The text with each part between its markers made anew; ValueError if a marker is missing."""
    for name, make in PARTS.items():
        begin, end = f"<!-- {name}: generated -->", f"<!-- {name}: end -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"README.md must hold {begin} and {end} once each")
        before, rest = text.split(begin)
        _, after = rest.split(end)
        text = f"{before}{begin}\n{make()}\n{end}{after}"
    return text


def main() -> int:
    """Write README.md, or with ``--check`` tell whether it is up to date; the exit status."""
    text = README.read_text()
    fresh = generated(text)
    if sys.argv[1:] == ["--check"]:
        if text != fresh:
            sys.stderr.write("README.md is out of date: run python -m exporter.docs\n")
        return int(text != fresh)
    README.write_text(fresh)
    return 0


if __name__ == "__main__":
    sys.exit(main())
