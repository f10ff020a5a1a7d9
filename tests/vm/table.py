# SPDX-License-Identifier: GPL-2.0-only
"""Renders the reports of the cells as the support table of the documentation."""

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
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

One virtual machine per cell, in which the tests of `tests/kernel` ran: `make vm-matrix` runs
them, and `make vm-table` writes this page from the results. Tests are skipped if the kernel, the
processor or the machine lacks what they need; those of the live page need a browser. Where tasks
preempt the kernel, failures are expected and a door can be off, in modes that miss runs there and
report it: the note has the number, and [Measurements](measurements.md#runs-that-the-kernel-skips)
how often that happens. A silent hook was not called by the self-test. Without a mode, all modes
of the cell are meant.
"""
FIRED = "fires"
STATES = {"attached": "attached, silent", "failed": "failed", "absent": "absent"}
PROBLEMS = ("skipped", "failure", "error")
TESTS_HEAD = ("tests", "result", "why")
OUTCOMES = {"pytest.skip": "skipped", "pytest.xfail": "expected to fail"}


class Test(NamedTuple):
    """A test that did not pass: its module, pytest's word for its outcome, and why."""

    module: str
    outcome: str
    why: str


@dataclass(frozen=True, slots=True)
class Row:
    """One kernel x BCC x mode: the lab's result, and the reports of the tests."""

    cell: str
    kernel: str
    bcc: str
    arch: str
    mode: str
    result: str
    total: int = 0
    tests: tuple[Test, ...] = ()
    support: dict[str, Any] = field(default_factory=dict)

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
    """Read a row from its result.json and the reports beside it."""
    result = json.loads(path.read_text())
    report = path.parent / f"support-{result['mode']}.json"
    total, tests = read_tests(path.parent / "pytest.xml")
    return Row(
        **{name: result[name] for name in ("cell", "kernel", "bcc", "arch", "mode")},
        result=result["why"],
        total=total,
        tests=tests,
        support=json.loads(report.read_text()) if report.exists() else {},
    )


def read_tests(report: Path) -> tuple[int, tuple[Test, ...]]:
    """Number of tests, and those that did not pass, from pytest's report if there is one."""
    if not report.exists():
        return 0, ()
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))  # noqa: S314 of our own tests
    tests = (
        Test(
            case.attrib["classname"].rpartition(".")[2],
            OUTCOMES.get(problem.get("type", ""), problem.tag),
            problem.get("message", ""),
        )
        for case in cases
        for problem in case
        if problem.tag in PROBLEMS
    )
    return len(cases), tuple(tests)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Render a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(escape, line))} |" for line in lines) + "\n"


def escape(text: str) -> str:
    """Make text fit into a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ").strip()


def counted(items: Sequence[dict[str, Any]], good: Iterable[bool]) -> str:
    """Render the number of good items; "" without items."""
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
        ", ".join([row.result, *test_counts(row)]),
        counted(present, (hook["state"] == "attached" for hook in present)),
        counted(present, (bool(hook["fired"]) for hook in present)),
        counted(row.doors, (bool(door["ok"]) for door in row.doors)),
        str(row.support.get("note", "")),
    )


def test_counts(row: Row) -> list[str]:
    """Render the number of passed tests, and the outcome of the others."""
    if not row.total:
        return []
    others = Counter(test.outcome for test in row.tests)
    counts = [f"{count} {outcome}" for outcome, count in sorted(others.items())]
    return ["; ".join([f"{row.total - others.total()} of {row.total}", *counts])]


def places(some: Sequence[Row], rows: Sequence[Row]) -> list[str]:
    """Name the cells of some of the rows, and the modes where they are not all of the cell's."""
    modes: dict[str, list[str]] = {}
    for row in some:
        modes.setdefault(row.cell, []).append(row.mode)
    whole = Counter(row.cell for row in rows)
    return [
        cell if len(names) == whole[cell] else f"{cell} {', '.join(names)}"
        for cell, names in modes.items()
    ]


def matrix(
    head: Sequence[str], rows: Sequence[Row], words: Callable[[Row], dict[tuple[str, str], str]]
) -> str:
    """Render pairs of names (lines) against kernels and modes, one column for all that agree."""
    columns: dict[Hashable, list[Row]] = {}
    for row in rows:
        if row.support:
            columns.setdefault(frozenset(words(row).items()), []).append(row)
    titles = ["<br>".join(places(same, rows)) for same in columns.values()]
    found = [words(same[0]) for same in columns.values()]
    names = sorted({name for column in found for name in column})
    lines = ([*name, *(column.get(name, "") for column in found)] for name in names)
    return table([*head, *titles], lines)


def hook_words(row: Row) -> dict[tuple[str, str], str]:
    """Layer and function of each hook to its state."""
    return {
        (hook["layer"], hook["function"]): FIRED if hook["fired"] else STATES[hook["state"]]
        for hook in row.hooks
    }


def door_words(row: Row) -> dict[tuple[str, str], str]:
    """Door and fd type to its state: whether it counted all known bytes."""
    off = {(door["door"], door["fd_type"]) for door in row.doors if not door["ok"]}
    names = ((door["door"], door["fd_type"]) for door in row.doors)
    return {name: "**off**" if name in off else "exact" for name in names}


def reasons(
    head: Sequence[str], rows: Sequence[Row], found: Callable[[Row], Iterable[tuple[str, ...]]]
) -> str:
    """Render findings, one line per finding with its cells."""
    where: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        for line in dict.fromkeys(found(row)):
            where.setdefault(line, []).append(row)
    lines = (
        (*line, "everywhere" if len(some) == len(rows) else "; ".join(places(some, rows)))
        for line, some in sorted(where.items())
    )
    return table([*head, "where"], lines)


def failed_hooks(row: Row) -> list[tuple[str, str]]:
    """The hooks that failed: function, and why."""
    return [(hook["function"], hook["why"]) for hook in row.hooks if hook["state"] == "failed"]


def render(folder: Path) -> str:
    """Render the whole page part from the cells' folders below `folder`."""
    rows = read_rows(folder)
    parts = (
        ABOUT,
        f"## Kernels\n\n{summary(rows)}",
        f"## Hooks\n\n{matrix(('layer', 'function'), rows, hook_words)}",
        f"## Doors\n\n{matrix(('door', 'fd type'), rows, door_words)}",
        f"## Hooks that failed\n\n{reasons(('function', 'why'), rows, failed_hooks)}",
        f"## Tests that did not pass\n\n{reasons(TESTS_HEAD, rows, lambda row: row.tests)}",
    )
    return "\n".join(parts)
