# SPDX-License-Identifier: GPL-2.0-only
"""Writes the generated tables of docs/.

``python -m fdscope.exporter.generate.metric_docs [--check]``
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from fdscope.exporter.catalog import CATALOG, ENDED, Label, Metric
from fdscope.probes.hooks.blind_spots import BLIND_SPOTS
from fdscope.probes.schema.taxonomy import Mode

DOCS = Path(__file__).resolve().parents[2] / "docs"


class DocsError(ValueError):
    """The tables cannot be made; the text names the place and the fault."""


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{name}`" for name in metric.label_names)
    return f"| `{metric.name}` | {metric.kind.value} | {labels} | {metric.help} |"


def metric_table(catalog: Iterable[Metric] = CATALOG) -> str:
    """Markdown: every metric."""
    return "\n".join(
        ("| metric | kind | labels | meaning |", "|---|---|---|---|", *map(_row, catalog))
    )


def _uses(catalog: Iterable[Metric]) -> dict[Label, list[str]]:
    """Each label with the names of its metrics.

    DocsError if labels of one name differ, unless each of them is marked ambiguous.
    """
    uses: dict[Label, list[str]] = {}
    for metric in catalog:
        for label in metric.labels:
            uses.setdefault(label, []).append(metric.name)
    meanings: dict[str, list[Label]] = {}
    for label in uses:
        meanings.setdefault(label.name, []).append(label)
    for name, labels in meanings.items():
        several = len(labels) > 1
        if wrong := [label for label in labels if label.ambiguous is not several]:
            told = "; ".join(f"{label.help!r} of {uses[label][0]}" for label in wrong)
            count = "several meanings" if several else "one meaning"
            raise DocsError(f"label {name} has {count}: ambiguous must be {several} for {told}")
    return uses


def label_table(catalog: Iterable[Metric] = CATALOG) -> str:
    """Markdown: every label with its values; one row for each meaning of a name."""
    uses = {**_uses(catalog), ENDED: []}
    rows = (
        f"| `{label.name}` | {label.help} | {', '.join(label.values)} |"
        f" {', '.join(f'`{name}`' for name in names) if label.ambiguous else ''} |"
        for label, names in sorted(uses.items(), key=lambda use: use[0].name)
    )
    head = "| label | meaning | values, where the set is closed | of these metrics only |"
    return "\n".join((head, "|---|---|---|---|", *rows))


def blind_spots() -> str:
    """Markdown: what is not traced, why, and in which modes."""
    modes: dict[tuple[str, str], list[str]] = {}
    for mode in Mode:
        for spot in BLIND_SPOTS[mode]:
            modes.setdefault((spot.what, spot.why), []).append(mode.value)
    rows = (
        f"| {what} | {why} | {'all' if len(names) == len(Mode) else ', '.join(names)} |"
        for (what, why), names in modes.items()
    )
    return "\n".join(("| what | why | in mode |", "|---|---|---|", *rows))


PAGES: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "metrics.md": {"metrics": metric_table, "labels": label_table},
    "blind-spots.md": {"blind spots": blind_spots},
}


def generated(page: str, text: str) -> str:
    """The text of a page with each generated part renewed; DocsError without its markers."""
    for name, make in PAGES[page].items():
        begin, end = f"<!-- {name}: generated -->", f"<!-- {name}: end -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise DocsError(f"docs/{page} must hold {begin} and {end} once each")
        before, rest = text.split(begin)
        _, after = rest.split(end)
        text = f"{before}{begin}\n{make()}\n{end}{after}"
    return text


def stale() -> list[str]:
    """The pages that are out of date."""
    texts = {page: (DOCS / page).read_text() for page in PAGES}
    return [page for page, text in texts.items() if generated(page, text) != text]


def main() -> int:
    """Write the tables, or with ``--check`` name the outdated pages; return the exit status."""
    try:
        pages = stale()
        if sys.argv[1:] == ["--check"]:
            for page in pages:
                sys.stderr.write(f"docs/{page} is out of date: run make generate\n")
            return int(bool(pages))
        for page in pages:
            (DOCS / page).write_text(generated(page, (DOCS / page).read_text()))
    except DocsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
