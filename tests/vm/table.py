# SPDX-License-Identifier: GPL-2.0-only
"""Renders what the cells reported as the support table of the documentation."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.vm.cells import CELLS

SUMMARY_HEAD = (
    "cell",
    "kernel",
    "BCC",
    "arch",
    "mode",
    "tests",
    "hooks attached",
    "hooks that fired",
    "doors exact",
    "note",
)
ABOUT = """\
# Tested kernels

A virtual machine each, in which the tests of `tests/kernel` ran: `make vm-matrix` runs them, and
`make vm-table` writes this page from what they left. Skipped are tests of what a kernel, the
processor or the machine does not have, among them those of the live page, which need a browser.
Failures that are expected (where tasks preempt the kernel, in modes that miss runs there and tell
so) count as skipped. A hook that is silent was not called by the self-test.
"""
FIRED = "fires"
STATES = {"attached": "attached, silent", "failed": "failed", "absent": "absent"}


@dataclass(frozen=True, slots=True)
class Row:
    """One kernel x BCC x mode: what the lab saw, and what the product's tests wrote."""

    cell: str
    kernel: str
    bcc: str
    arch: str
    mode: str
    result: str
    support: dict[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """A short name for the head of a column."""
        return f"{self.cell}<br>{self.mode}"

    @property
    def hooks(self) -> list[dict[str, Any]]:
        """The hooks that the product reported."""
        return list(self.support.get("hooks", []))

    @property
    def doors(self) -> list[dict[str, Any]]:
        """The doors that the product checked with known bytes."""
        return list(self.support.get("doors", []))


def read_rows(folder: Path) -> list[Row]:
    """Read the results in the order of the matrix."""
    files = [folder / f"{cell.name}-{mode}/result.json" for cell in CELLS for mode in cell.modes]
    return [read_row(file) for file in files if file.exists()]


def read_row(path: Path) -> Row:
    """Read a row from its result.json and the report beside it."""
    result = json.loads(path.read_text())
    report = path.parent / f"support-{result['mode']}.json"
    return Row(
        **{name: result[name] for name in ("cell", "kernel", "bcc", "arch", "mode")},
        result=", ".join(filter(None, (result["why"], test_counts(path.parent / "pytest.xml")))),
        support=json.loads(report.read_text()) if report.exists() else {},
    )


def test_counts(report: Path) -> str:
    """How many tests passed, and what became of the others, by pytest's report if there is one."""
    if not report.exists():
        return ""
    suite = ElementTree.parse(report).getroot()[0].attrib  # noqa: S314 of our own tests
    others = {word: int(suite[word]) for word in ("skipped", "failures", "errors")}
    total = int(suite["tests"])
    counts = [f"{count} {word}" for word, count in others.items() if count]
    return "; ".join([f"{total - sum(others.values())} of {total}", *counts])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Render a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(escape, line))} |" for line in lines) + "\n"


def escape(text: str) -> str:
    """Make text fit into a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ").strip()


def counted(items: Sequence[dict[str, Any]], good: Iterable[bool]) -> str:
    """Say how many of the items are good; nothing if there are none."""
    return f"{sum(good)} of {len(items)}" if items else ""


def summary(rows: Sequence[Row]) -> str:
    """Render one line for each kernel, BCC and mode."""
    return table(SUMMARY_HEAD, (summary_line(row) for row in rows))


def summary_line(row: Row) -> tuple[str, ...]:
    """Return the cells of one line of the summary."""
    present = [hook for hook in row.hooks if hook["state"] != "absent"]
    return (
        row.cell,
        row.kernel,
        row.bcc,
        row.arch,
        row.mode,
        row.result,
        counted(present, (hook["state"] == "attached" for hook in present)),
        counted(present, (bool(hook["fired"]) for hook in present)),
        counted(row.doors, (bool(door["ok"]) for door in row.doors)),
        str(row.support.get("note", "")),
    )


def hook_word(hook: dict[str, Any]) -> str:
    """Say in a word what became of a hook."""
    return FIRED if hook["fired"] else STATES[hook["state"]]


def hook_matrix(rows: Sequence[Row]) -> str:
    """Render the hooks (lines) against kernels and modes (columns)."""
    states = [{(h["layer"], h["function"]): hook_word(h) for h in row.hooks} for row in rows]
    names = sorted({name for state in states for name in state})
    head = ["layer", "function", *(row.title for row in rows)]
    return table(head, ([*name, *(state.get(name, "") for state in states)] for name in names))


def door_matrix(rows: Sequence[Row]) -> str:
    """Render the doors with their fd types (lines) against kernels and modes (columns)."""
    checks = [{(d["door"], d["fd_type"]): bool(d["ok"]) for d in row.doors} for row in rows]
    words = {True: "exact", False: "**off**", None: ""}
    names = sorted({name for check in checks for name in check})
    head = ["door", "fd type", *(row.title for row in rows)]
    return table(head, ([*name, *(words[c.get(name)] for c in checks)] for name in names))


def failures(rows: Sequence[Row]) -> str:
    """Render why hooks failed: one line for each hook and reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for hook in row.hooks:
            if hook["state"] == "failed":
                where = reasons.setdefault((hook["function"], hook["why"]), [])
                where.append(f"{row.cell} {row.mode}")
    return table(
        ("function", "why", "where"),
        ([*reason, ", ".join(where)] for reason, where in sorted(reasons.items())),
    )


def render(folder: Path) -> str:
    """Render the whole page part from the cells' folders below `folder`."""
    rows = read_rows(folder)
    reported = [row for row in rows if row.support]
    parts = [f"{ABOUT}\n## Kernels\n\n{summary(rows)}"]
    if reported:
        parts.append(f"## Hooks\n\n{hook_matrix(reported)}")
        parts.append(f"## Doors\n\n{door_matrix(reported)}")
        parts.append(f"## Hooks that failed\n\n{failures(reported)}")
    return "\n".join(parts)
