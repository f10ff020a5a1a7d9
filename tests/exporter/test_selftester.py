# SPDX-License-Identifier: GPL-2.0-only
"""When the self-test is repeated, and what is left of one that fails."""

from collections.abc import Sequence

import pytest

from exporter.selftester import SelfTester
from probes.selftest import Row


def row(observed: int) -> Row:
    return Row("case", "read_write", "fifo", "read", 10, observed, None, ok=observed == 10)


class Found:
    """What each test in turn finds; an exception is raised."""

    def __init__(self, *results: Sequence[Row] | Exception) -> None:
        self.results = list(results)

    def __call__(self) -> Sequence[Row]:
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


def test_without_an_interval_it_is_never_due() -> None:
    tester = SelfTester(Found(), [row(10)], 0, iter(range(1000, 2000)).__next__)
    assert not tester.is_due
    assert tester.rows == [row(10)]


def test_what_is_wrong_once_is_tried_again() -> None:
    found = Found([row(9)], [row(10)])
    tester = SelfTester(found, [], 60)
    tester.run()
    assert tester.rows == [row(10)]
    assert not found.results


def test_what_stays_wrong_is_told(caplog: pytest.LogCaptureFixture) -> None:
    tester = SelfTester(Found([row(9)], [row(8)]), [row(10)], 60)
    tester.run()
    assert tester.rows == [row(8)]
    assert "of 10 bytes the file layer saw 8" in caplog.text


def test_one_that_cannot_be_run_leaves_no_rows(caplog: pytest.LogCaptureFixture) -> None:
    tester = SelfTester(Found(OSError("no room")), [row(10)], 60)
    tester.run()
    assert tester.rows == ()
    assert "the self-test cannot be run" in caplog.text
