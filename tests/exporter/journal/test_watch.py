# SPDX-License-Identifier: GPL-2.0-only
"""Events about fdscope itself, and about processes, from what the exporter reads anyway."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from fdscope.exporter.journal.journal import Told
from fdscope.exporter.journal.state import State
from fdscope.exporter.journal.watch import Watch
from fdscope.probes.attach.report import HookStatus
from fdscope.probes.attach.report import State as HookState
from fdscope.probes.read.census import ProcessFds
from fdscope.probes.schema.snapshot import Amount, Process, ProcessKey
from fdscope.probes.schema.taxonomy import FdType, Loss, Mode
from fdscope.probes.selftest.run import Row
from tests.exporter.journal.test_profiles import READ, REMOTE, SENDFILE

KEY = ProcessKey(42, 7)
PROCESS = Process(b"ng\x1binx", 1, False)
HOOK = HookStatus("sys_exit", "file", "tracepoint", "", HookState.ATTACHED)
ROW = Row("send", "socket_call", "tcp", "written", 7, 7, 7, ok=True)


def unit(cgroup_id: int) -> str:
    return f"{cgroup_id}.service"


class Tellings(list[Told]):
    def tell(self, told: Told) -> None:
        self.append(told)

    def kinds(self) -> list[str]:
        return [each.kind.label for each in self]


def watch(told: Tellings, directory: Path | None = None, learn: float = 0) -> Watch:
    return Watch(told, State(directory), learn)


def test_begin_and_end(tmp_path: Path) -> None:
    told = Tellings()
    first = watch(told, tmp_path)
    first.start("1.2", Mode.FENTRY, [HOOK])
    first.close()
    second = watch(told, tmp_path)
    second.start("1.2", Mode.KPROBE, [replace(HOOK, state=HookState.FAILED, why="no\nlog")])
    # It is killed here.
    third = watch(told, tmp_path)
    third.start("1.2", Mode.KPROBE, [])
    assert told.kinds() == [
        "journal_started", "journal_stopped",
        "journal_started", "mode_changed", "probe_not_attached",
        "journal_started",
    ]  # fmt: skip
    assert [each.facts.get("last_run") for each in told if "last_run" in each.facts] == [
        "unknown", "stopped", "crashed",
    ]  # fmt: skip
    assert told[3].text == "the attach mode has changed from fentry to kprobe"
    assert told[4].text == "the hook on sys_exit could not be attached: no"
    assert "was killed or crashed" in told[5].text


def test_a_state_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "last-run.json").write_text("[" * 10_000)
    told = Tellings()
    watch(told, tmp_path).start("1.2", Mode.FENTRY, [])
    watch(told, tmp_path / "none").start("1.2", Mode.FENTRY, [])
    watch(told, None).start("1.2", Mode.FENTRY, [])
    assert told.kinds() == 3 * ["journal_started"]


def test_losses() -> None:
    told, now = Tellings(), [0.0]
    watching = Watch(told, State(None), 0, lambda: now[0])
    watching.losses({Loss.COUNTERS_FULL: 0})
    watching.losses({Loss.COUNTERS_FULL: 5})
    watching.losses({Loss.COUNTERS_FULL: 9})
    now[0] = 61.0
    watching.losses({Loss.COUNTERS_FULL: 9, Loss.SCRATCH: 1})
    now[0] = 200.0
    watching.losses({Loss.COUNTERS_FULL: 9, Loss.SCRATCH: 1})
    assert [dict(each.facts) for each in told] == [
        {"counters_full": 5},
        {"counters_full": 4, "scratch": 1},
    ]


def test_a_selftest_that_fails() -> None:
    told = Tellings()
    watching = watch(told)
    good: Sequence[Row] = [ROW]
    bad: Sequence[Row] = [ROW, replace(ROW, ok=False)]
    for rows in (good, bad, bad, good):
        watching.selftest(rows)
    assert [each.text for each in told] == ["the self-test finds 1 of 2 rows wrong: send (tcp)"]


@pytest.mark.parametrize(
    ("totals", "events"),
    [([89], 0), ([90], 1), ([90, 95, 99], 1), ([90, 85, 95], 1), ([90, 79, 91], 2)],
)
def test_the_limit_of_open_fds(totals: list[int], events: int) -> None:
    told = Tellings()
    watching = watch(told)
    for total in totals:
        found = ProcessFds(KEY, PROCESS, {FdType.TCP: total - 1, FdType.TTY: 1}, 100, {}, 0)
        watching.census({KEY: found}, unit)
    assert len(told) == events
    if events:
        assert told[0].text == (
            r"ng\x1binx (pid 42, 1.service) has 90 open fds of 100 that it may have, most of them"
            " tcp"
        )


def test_profiles(tmp_path: Path) -> None:
    told = Tellings()
    one = Amount(1, 1)
    learning = watch(told, tmp_path, learn=1e9)
    learning.start("1.2", Mode.FENTRY, [])
    learning.habits({KEY: {READ: one}}, {KEY: PROCESS}, unit)
    learning.habits({KEY: {READ: one, REMOTE: one}}, {KEY: PROCESS}, unit)
    learning.close()
    assert "new_behavior" not in told.kinds()
    told.clear()
    complete = watch(told, tmp_path, learn=1e-9)
    complete.start("1.2", Mode.FENTRY, [])
    for codes in ([READ], [READ, REMOTE], [READ, REMOTE, SENDFILE], [SENDFILE]):
        complete.habits({KEY: dict.fromkeys(codes, one)}, {KEY: PROCESS}, unit)
    new = [each.text for each in told if each.kind.label == "new_behavior"]
    assert new == [
        r"ng\x1binx (pid 42, 1.service) does what is not in its profile: tcp door sendfile"
    ]
    complete.close()
    assert "sendfile" in (tmp_path / "profiles.json").read_text()
    assert (tmp_path / "profiles.json").stat().st_mode & 0o777 == 0o600
