# SPDX-License-Identifier: GPL-2.0-only
"""Repetition of the self-test, and its rows after a failure."""

import threading
import time
from collections.abc import Callable, Sequence

import pytest

from fdscope.exporter.accounts.selftester import SelfTester
from fdscope.probes.selftest.run import Result, Row


def row(observed: int) -> Row:
    return Row("case", "read_write", "fifo", "read", 10, observed, None, ok=observed == 10)


def result(observed: int, lost: int = 0) -> Result:
    return Result([row(observed)], lost)


class Found:
    """Result of each test in turn; an exception is raised."""

    def __init__(self, *results: Result | Exception) -> None:
        self.results = list(results)

    def __call__(self, go_on: Callable[[], None]) -> Result:
        go_on()
        found = self.results.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


def test_without_an_interval_it_is_never_due() -> None:
    tester = SelfTester(Found(), [row(10)], 0)
    assert tester.seconds_left is None
    assert tester.rows == [row(10)]
    tester.start()
    tester.close()


def test_it_is_due_once_the_interval_is_over() -> None:
    now = [1000.0]
    tester = SelfTester(Found(result(10)), [row(9)], 60, lambda: now[0])
    assert tester.seconds_left == 60
    now[0] += 70
    assert tester.seconds_left == 0
    tester.run()
    assert tester.rows == [row(10)]
    assert tester.seconds_left == 60


def test_what_is_wrong_once_is_tried_again() -> None:
    found = Found(result(9), result(10))
    tester = SelfTester(found, [], 60)
    tester.run()
    assert tester.rows == [row(10)]
    assert not found.results


def test_what_stays_wrong_is_told(caplog: pytest.LogCaptureFixture) -> None:
    tester = SelfTester(Found(result(9), result(8)), [row(10)], 60)
    tester.run()
    assert tester.rows == [row(8)]
    assert "of 10 bytes the file layer saw 8" in caplog.text


def test_one_that_cannot_be_run_leaves_no_rows(caplog: pytest.LogCaptureFixture) -> None:
    tester = SelfTester(Found(OSError("no room")), [row(10)], 60)
    tester.run()
    assert tester.rows == ()
    assert "the self-test cannot be run" in caplog.text


def test_full_maps_are_no_fault_of_the_probes(caplog: pytest.LogCaptureFixture) -> None:
    tester = SelfTester(Found(result(3, lost=77)), [row(10)], 60)
    tester.run()
    assert tester.rows == [row(10)], "of the last test that could judge"
    assert "77 updates were lost" in caplog.text


@pytest.mark.parametrize("rows", [[], [row(10)]])
def test_a_start_that_could_not_be_judged_is_tried_again(rows: Sequence[Row]) -> None:
    now = [0.0]
    found = Found(result(3, lost=1), result(10))
    tester = SelfTester(found, rows, 0, lambda: now[0])
    if rows:
        assert tester.seconds_left is None
        return
    assert tester.seconds_left == 60
    tester.run()
    assert tester.seconds_left == 60
    tester.run()
    assert tester.seconds_left is None
    assert tester.rows == [row(10)]


def test_a_test_that_goes_on_is_given_up_at_the_end() -> None:
    began = threading.Event()

    def test(go_on: Callable[[], None]) -> Result:
        began.set()
        while True:
            go_on()
            time.sleep(0.01)

    tester = SelfTester(test, [row(10)], interval=0.01)
    tester.start()
    assert began.wait(60)
    tester.close()
    assert tester.rows == [row(10)]
