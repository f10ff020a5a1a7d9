# SPDX-License-Identifier: GPL-2.0-only
"""Renders runs: for a terminal, and as the page of the documentation."""

from collections.abc import Sequence
from typing import Any

from tests.scorecard.model import BLIND, EXACT, NOT_POSSIBLE, OFF, Line, Verdict
from tests.scorecard.results import Run
from tests.scorecard.scenarios import SCENARIOS
from tests.vm.table import table

INTRODUCTION = """\
# Scorecard

Each scenario is a program of `tests/workloads` that sums up the bytes of its own system calls, by
process, fd type, door and direction. A verdict is *exact* only if fdscope counted the same bytes
and the same operations for the same processes under the same names, and nothing besides, at the
file layer and (as bytes) at the socket layer, if the ledger of these processes leaves 0 bytes
unexplained, and if nothing was lost meanwhile. There is no tolerance. *Not seen* names the blind
spot that fdscope lists itself (`fdscope doctor --blind-spots`); it excuses missing bytes, never
additional ones. *Not possible* is what the kernel or machine does not have.

`make scorecard` runs it here, the tests run it in small (the scale below) on every kernel of the
lab, and `make scorecard-table` writes this page from the results of both.
"""
LONG_INTRODUCTION = """\
The running exporter, scraped all the while, against the workloads' own sums: `make load`, and
`make soak` with hundreds of processes a second that start and end, each with a dozen descriptors.
Sums are those of each process, fd type, door and direction. Memory is the exporter's, in MiB, from
the first scrape to the last.
"""
_TOTALS = ("ledger residual", "losses", "missed runs")
_LONG = (
    "test", "kernel", "mode", "minutes", "operations", "a second", "sums exact", "ledger residual",
    "losses", "missed runs", "memory", "fullest map",
)  # fmt: skip
_MARKS = {EXACT: "exact", OFF: "**off**", BLIND: "not seen", NOT_POSSIBLE: "not possible"}


def line_text(line: Line) -> str:
    """A wrong line as text."""
    where = f"{line.process} ({line.pid}) {line.layer} {line.account} {line.fd_type} {line.door}"
    return (
        f"{where.strip()}: expected {line.expected_bytes} bytes in {line.expected_operations}"
        f" operations, counted {line.bytes} in {line.operations}"
    )


def verdict_text(verdict: Verdict) -> str:
    """A scenario as text."""
    again = f" (after {verdict.tries} tries)" if verdict.tries > 1 else ""
    head = (
        f"{verdict.scenario:46} {verdict.verdict + again:18}"
        f"{verdict.file_bytes:>11} of {verdict.expected_bytes:<11}{verdict.why}"
    )
    return "\n".join([head.rstrip(), *(f"    {line_text(line)}" for line in verdict.wrong)])


def summary(run: Run) -> str:
    """A run as one line."""
    words = [verdict.verdict for verdict in run.verdicts]
    counts = ", ".join(f"{words.count(word)} {word}" for word in _MARKS if word in words)
    return (
        f"{run.kernel} {run.mode}: {counts}; ledger residual {run.residual_bytes} bytes,"
        f" losses {run.lost}, missed runs {run.missed_runs}"
    )


def _reasons(runs: Sequence[Run]) -> list[tuple[str, str, str, str]]:
    found: dict[tuple[str, str, str], list[str]] = {}
    for run in runs:
        for verdict in run.verdicts:
            if verdict.verdict != EXACT:
                texts = [verdict.why, *map(line_text, verdict.wrong[:2])]
                why = "; ".join(filter(None, texts if verdict.verdict == OFF else texts[:1]))
                key = (verdict.scenario, verdict.verdict, why)
                found.setdefault(key, []).append(f"{run.kernel} {run.mode}")
    return [(*key, ", ".join(where)) for key, where in found.items()]


def _long(report: dict[str, Any]) -> list[str]:
    """A row of the table of load tests and soaks, from the file of one."""
    samples, lines = report["samples"], report["lines"]
    exact = sum(Line(*line).exact for line in lines)
    fullest = max(share for sample in samples for share in sample["maps"].values())
    first, last = samples[0]["lost"], samples[-1]["lost"]
    more = {key: n - first.get(key, 0) for key, n in last.items() if key != "unmatched_return"}
    lost = {key: n for key, n in more.items() if n}
    return [
        report["test"],
        report["kernel"],
        report["mode"],
        f"{report['seconds'] / 60:.1f}",
        f"{report['operations']:,}",
        f"{report['operations'] / report['seconds']:,.0f}",
        f"{exact} of {len(lines)}",
        str(sum(samples[-1]["residual"].values())),
        ", ".join(f"{key} {n}" for key, n in lost.items()) or "0",
        str(sum(report["missed_runs"].values())),
        f"{samples[0]['resident_kib'] / 1024:.0f} to {samples[-1]['resident_kib'] / 1024:.0f}",
        f"{fullest:.0%}",
    ]


def page(runs: Sequence[Run], long: Sequence[dict[str, Any]]) -> str:
    """The whole of docs/scorecard.md; ``long`` holds the files of load tests and soaks."""
    verdicts = [{v.scenario: _MARKS[v.verdict] for v in run.verdicts} for run in runs]
    heads = [f"{run.kernel}<br>{run.mode}" for run in runs]
    lines = [
        [scenario.name, *(verdict.get(scenario.name, "") for verdict in verdicts)]
        for scenario in SCENARIOS
    ]
    totals = [
        [
            *(run.kernel, run.arch, run.bcc, run.mode, f"{run.scale:g}"),
            *(str([v.verdict for v in run.verdicts].count(word)) for word in _MARKS),
            *(str(run.residual_bytes), str(run.lost), str(run.missed_runs)),
        ]
        for run in runs
    ]
    head = ["kernel", "arch", "BCC", "mode", "scale", *_MARKS, *_TOTALS]
    notes = [f"- {scenario.name}: {scenario.about}." for scenario in SCENARIOS if scenario.about]
    parts = [
        INTRODUCTION,
        table(head, totals),
        "## Scenarios\n\n" + table(["scenario", *heads], lines) + "\n" + "\n".join(notes) + "\n",
        "## What is not exact\n\n" + table(["scenario", "verdict", "why", "where"], _reasons(runs)),
        "## Under load, for minutes\n\n"
        + LONG_INTRODUCTION
        + "\n"
        + table(_LONG, map(_long, long)),
    ]
    return "\n".join(parts)
