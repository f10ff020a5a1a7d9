# SPDX-License-Identifier: GPL-2.0-only
"""The self-test finds exact and inexact rows."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from fdscope.exporter.accounts.processes import Processes
from fdscope.exporter.accounts.selftester import SelfTester
from fdscope.probes.attach.settings import Settings
from fdscope.probes.read.session import Session, attach
from fdscope.probes.schema.snapshot import Accounts
from fdscope.probes.schema.taxonomy import Account, Door, FdType, Loss
from fdscope.probes.selftest import run
from fdscope.probes.selftest.cases import CASES
from fdscope.probes.selftest.worker import NAME
from tests.kernel.conftest import in_child, key_of, modes, of_tgid


def misses(session: Session) -> int:
    return sum(session.snapshot().missed_runs.values())


def test_every_door_is_exact(session: Session) -> None:
    """Run once more if the kernel skipped a program, which it counts."""
    for _ in range(3):
        before = misses(session)
        rows = run.run(session).rows
        if misses(session) == before:
            break
    assert len(rows) > 60
    wrong = [row for row in rows if not row.ok]
    assert not wrong, run.text(wrong)


def test_quick_is_a_part_of_it(session: Session) -> None:
    rows = run.run(session, quick=True).rows
    assert {"read_write", "vectored", "splice"} <= {row.door for row in rows}
    assert all(row.ok for row in rows)


def test_probes_that_do_not_fire_are_found_out(session: Session) -> None:
    class Deaf:
        """A session whose hooks are attached and count nothing."""

        sees_sockets = session.sees_sockets
        blind_doors = session.blind_doors

        losses = session.losses

        def peek(self) -> Accounts:
            return replace(session.peek(), amounts={})

    result = run.run(Deaf(), quick=True)  # type: ignore[arg-type]
    rows = result.rows
    assert result.judges or result.lost
    assert rows
    assert not any(row.ok for row in rows if not row.unsupported)
    assert "WRONG" in run.text(rows)


def test_scrapes_go_on_meanwhile(session: Session) -> None:
    """A running exporter tests itself, while others read the maps and remove ended processes."""
    processes = Processes(100, lambda _: "", lambda _: True, linger_seconds=0.0)
    now = iter(range(100_000))

    def scrape() -> None:
        session.forget(processes.update(session.accounts(), next(now)))

    def test(go_on: Callable[[], None]) -> run.Result:
        go_on()
        return run.run(session, quick=True, meanwhile=scrape)

    tester = SelfTester(test, (), 60)
    tester.run()
    assert tester.rows
    assert next(now) > 1
    assert all(row.ok for row in tester.rows), run.text(tester.rows)


def test_its_processes_end_with_it(session: Session) -> None:
    before = {path.name for path in Path("/proc").iterdir()}

    def ours() -> list[str]:
        return [
            path.parent.name
            for path in Path("/proc").glob("[0-9]*/comm")
            if path.parent.name not in before and comm_of(path) == NAME
        ]

    seen: list[int] = []
    run.run(session, quick=True, meanwhile=lambda: seen.append(len(ours())))
    assert max(seen) > 0
    assert not ours()


def comm_of(path: Path) -> bytes:
    with suppress(OSError):
        return path.read_bytes().rstrip()
    return b""


@pytest.fixture
def small() -> Iterator[Session]:
    """Probes with small maps."""
    attached = attach(modes(), Settings(counter_entries=2048))
    yield attached
    attached.close()


def pipe_traffic() -> None:
    read_fd, write_fd = os.pipe()
    os.write(write_fd, bytes(10))
    os.read(read_fd, 10)


def fill(session: Session) -> list[int]:
    """Start short-lived processes until the maps are full; their tgids."""
    tgids = []
    while not session.losses()[Loss.COUNTERS_FULL]:
        tgids += [in_child(pipe_traffic) for _ in range(50)]
    return tgids


def written(accounts: Accounts, tgids: Sequence[int]) -> int:
    """Bytes that these wrote to pipes, of those counted for them."""
    key = Account.FILE_WRITE, FdType.FIFO, Door.READ_WRITE, 0
    return sum(counted[key].bytes for tgid in tgids if key in (counted := of_tgid(accounts, tgid)))


def test_a_storm_at_the_start(small: Session) -> None:
    """Full maps do not discredit the probes, and room is made without losing a byte."""
    tgids = fill(small)
    result = run.run(small, quick=True)
    assert result.lost
    assert not result.ok
    assert not result.judges
    before = written(small.accounts(), tgids)
    assert before > 0
    result = run.judge(small, quick=True, meanwhile=small.set_aside)
    assert result.ok, run.text(result.rows)
    accounts = small.accounts()
    assert accounts.maps["counters"].entries < 2048
    assert written(accounts, tgids) == before
    assert written(small.snapshot(), tgids) == before
    assert all(accounts.processes[key_of(accounts, tgid)].exited for tgid in tgids[:5])
    small.forget([key for key in accounts.amounts if key.tgid in tgids])
    assert written(small.accounts(), tgids) == 0, "they are taken in once"


def test_its_bytes_bear_its_name(session: Session) -> None:
    run.run(session, quick=True)
    accounts = session.accounts()
    names = {key: process.name for key, process in accounts.processes.items()}
    cases = [case for case in CASES if case.quick]
    tested = [amounts for key, amounts in accounts.amounts.items() if names.get(key) == NAME]
    assert len(tested) >= len(cases)


def test_a_mode_is_kept_when_there_is_no_room_to_judge_it() -> None:
    told: list[str] = []
    kept, rows = run.attach_what_fires(modes(), Settings(counter_entries=64), told.append)
    try:
        assert not rows
        assert told[-1].startswith(f"{kept.mode.value} mode is kept untested")
        assert kept.losses()[Loss.COUNTERS_FULL]
    finally:
        kept.close()


def test_a_mode_is_kept_when_the_machine_is_too_busy_to_judge_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "_TIMEOUT_SECONDS", 0)
    said: list[str] = []
    session, rows = run.attach_what_fires(modes(), Settings(), said.append)
    with contextlib.closing(session):
        assert not rows
        assert session.snapshot().amounts
    assert said[-1] == (
        f"{session.mode.value} mode is kept untested: the process that moves the known bytes took"
        " more than 0 s"
    )
