# SPDX-License-Identifier: GPL-2.0-only
"""The self-test finds what is exact, and what is not."""

from dataclasses import replace

from exporter.selftester import SelfTester
from probes import selftest
from probes.selftest.cases import CASES
from probes.selftest.worker import NAME
from probes.session import Session
from probes.snapshot import Snapshot


def misses(session: Session) -> int:
    return sum(session.snapshot().missed_runs.values())


def test_every_door_is_exact(session: Session) -> None:
    """Unless the kernel itself skipped a program, which it tells: then once more."""
    for _ in range(3):
        before = misses(session)
        rows = selftest.run(session)
        if misses(session) == before:
            break
    assert len(rows) > 60
    wrong = [row for row in rows if not row.ok]
    assert not wrong, selftest.text(wrong)


def test_quick_is_a_part_of_it(session: Session) -> None:
    rows = selftest.run(session, quick=True)
    assert {"read_write", "vectored", "splice"} <= {row.door for row in rows}
    assert all(row.ok for row in rows)


def test_probes_that_do_not_fire_are_found_out(session: Session) -> None:
    class Deaf:
        """A session whose hooks are attached and see nothing."""

        sees_sockets = session.sees_sockets
        blind_doors = session.blind_doors

        def snapshot(self) -> Snapshot:
            return replace(session.snapshot(), amounts={})

    rows = selftest.run(Deaf(), quick=True)  # type: ignore[arg-type]
    assert rows
    assert not any(row.ok for row in rows if not row.unsupported)
    assert "WRONG" in selftest.text(rows)


def test_a_running_exporter_tests_itself_again_once_it_is_time(session: Session) -> None:
    now = [0.0]
    tester = SelfTester(lambda: selftest.run(session, quick=True), (), 60, lambda: now[0])
    assert not tester.is_due
    now[0] = 60.0
    assert tester.is_due
    tester.run()
    assert not tester.is_due
    assert tester.rows
    assert all(row.ok for row in tester.rows), selftest.text(list(tester.rows))


def test_its_bytes_bear_its_name(session: Session) -> None:
    selftest.run(session, quick=True)
    accounts = session.accounts()
    names = {key: process.name for key, process in accounts.processes.items()}
    cases = [case for case in CASES if case.quick]
    tested = [amounts for key, amounts in accounts.amounts.items() if names.get(key) == NAME]
    assert len(tested) >= len(cases)
