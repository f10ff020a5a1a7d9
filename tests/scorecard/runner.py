# SPDX-License-Identifier: GPL-2.0-only
"""Runs a scenario under attached probes and judges it."""

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fdscope.probes.kernel.preemption import preempts
from fdscope.probes.read.session import Session
from fdscope.probes.schema.snapshot import Snapshot
from fdscope.probes.schema.taxonomy import Loss, Mode
from tests.scorecard import judge
from tests.scorecard.model import (
    BLIND,
    EXACT,
    NOT_POSSIBLE,
    OFF,
    PREEMPTED,
    Line,
    Scenario,
    Verdict,
)
from tests.scorecard.places import MissingError
from tests.scorecard.programs import BUILT
from tests.scorecard.tally import Entry, Tally

TIMEOUT_SECONDS = 300
_NOT_POSSIBLE_STATUS = 77
_TRIES = 3
"""A scenario that is not exact while the kernel skipped runs of the probes is run again."""
_SHOWN_LINES = 12


def kernel_version() -> tuple[int, int]:
    """Major and minor number of the running kernel."""
    major, minor = platform.release().split(".")[:2]
    return int(major), int(minor)


def skips_runs(mode: Mode) -> bool:
    """True if the kernel skips runs of this mode's programs under load."""
    return preempts() and PREEMPTED.applies(mode, kernel_version())


def arguments(scenario: Scenario, scale: float, places: Mapping[str, str]) -> list[str]:
    """The command line; MissingError if it needs a place that this machine lacks."""
    program, *rest = scenario.program
    words = [
        str(max(1, int(word * scale))) if isinstance(word, int) else word.format_map(places)
        for word in rest
    ]
    return [str(BUILT / str(program)), *words]


def perform(command: Sequence[str], tally: Tally) -> tuple[list[Entry], str]:
    """Run a workload; its entries, or why it is not possible here.

    RuntimeError with its message if it failed.
    """
    done = subprocess.run(
        command,
        env={"FDSCOPE_TALLY": str(tally.fd), "PATH": os.environ.get("PATH", "/usr/bin:/bin")},
        close_fds=False,  # to close them Python would list a directory, in the workload's name
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode == _NOT_POSSIBLE_STATUS:
        return [], done.stderr.strip()
    if done.returncode:
        name = Path(command[0]).name
        raise RuntimeError(f"{name} ended with {done.returncode}: {done.stderr.strip()}")
    return tally.entries(), ""


def losses(snapshot: Snapshot) -> int:
    """Of calls that ran from entry to return while fdscope was attached."""
    others = (n for loss, n in snapshot.losses.items() if loss is not Loss.UNMATCHED_RETURN)
    return sum(others)


def _missed(snapshot: Snapshot) -> int:
    return sum(snapshot.missed_runs.values())


def _word(
    scenario: Scenario, session: Session, wrong: Sequence[Line], missed: int
) -> tuple[str, str]:
    if not wrong:
        return EXACT, ""
    spots = [b for b in scenario.blind if b.applies(session.mode, kernel_version())]
    if skips_runs(session.mode):
        lacking = sum(line.expected_operations - line.operations for line in wrong)
        spots += [PREEMPTED] * (missed > 0 and lacking <= missed)
    if spots and all(line.lacks for line in wrong):
        return BLIND, "; ".join(spot.text(session.mode) for spot in spots)
    return OFF, ""


def _judge(
    scenario: Scenario,
    session: Session,
    before: Snapshot,
    after: Snapshot,
    entries: Sequence[Entry],
) -> Verdict:
    pids = frozenset(entry.pid for entry in entries)
    slots = judge.grown(before, after)
    lines = judge.compare(
        judge.expected(entries, session.sees_sockets),
        judge.counted(slots, pids),
        {entry.pid: entry.name for entry in entries},
    )
    wrong = [line for line in lines if not line.exact]
    wrong += judge.wrong_names(entries, after)
    if scenario.scope:
        wrong += judge.wrong_scopes(slots, pids, scenario.scope)
    residual = judge.residual(slots, pids) if session.sees_sockets else 0
    lost = losses(after) - losses(before)
    missed = _missed(after) - _missed(before)
    word, why = _word(scenario, session, wrong, missed)
    if word == EXACT and (residual or lost):
        word, why = OFF, f"residual {residual}, losses {lost}"
    session.forget([key for key, process in after.processes.items() if process.exited])
    return Verdict(
        scenario.name,
        word,
        why,
        expected_bytes=sum(line.expected_bytes for line in lines if line.layer == judge.FILE),
        file_bytes=sum(line.bytes for line in lines if line.layer == judge.FILE),
        socket_bytes=sum(line.bytes for line in lines if line.layer == judge.SOCKET),
        processes=len(pids),
        residual_bytes=residual,
        losses=lost,
        missed_runs=missed,
        wrong=wrong[:_SHOWN_LINES],
    )


def _once(scenario: Scenario, session: Session, scale: float, places: Mapping[str, str]) -> Verdict:
    try:
        command = arguments(scenario, scale, places)
    except MissingError as error:
        return Verdict(scenario.name, NOT_POSSIBLE, str(error))
    if not Path(command[0]).exists():
        return Verdict(scenario.name, NOT_POSSIBLE, "no such program on this architecture")
    tally = Tally()
    try:
        before = session.snapshot()
        entries, why = perform(command, tally)
        after = session.snapshot()
    finally:
        tally.close()
    if why:
        return Verdict(scenario.name, NOT_POSSIBLE, why)
    return _judge(scenario, session, before, after, entries)


def run(scenario: Scenario, session: Session, scale: float, places: Mapping[str, str]) -> Verdict:
    """Run it; again if it is not exact and the kernel skipped runs of the probes.

    RuntimeError if the workload itself fails, subprocess.TimeoutExpired if it hangs.
    """
    for number in range(1, _TRIES + 1):
        verdict = _once(scenario, session, scale, places)
        if verdict.verdict not in (OFF, BLIND) or not verdict.missed_runs or number == _TRIES:
            break
    return replace(verdict, tries=number)
