# SPDX-License-Identifier: GPL-2.0-only
"""Skipped runs excuse missing operations up to their number, and nothing else."""

from collections.abc import Callable

import pytest

from tests.kernel.skipped import TRIES, FewerError, exactly, retry


class Attempts:
    """A test that fails at first, on a kernel that skips a run each time, or not."""

    def __init__(self, failures: int, skips: bool, error: Exception) -> None:
        self.failures, self.skips, self.error = failures, skips, error
        self.made = self.skipped = 0

    def __call__(self) -> None:
        self.made += 1
        self.skipped += self.skips
        if self.made <= self.failures:
            raise self.error


def attempt(
    failures: int, *, skips: bool, error: Exception | None = None
) -> tuple[Attempts, Callable[[], None]]:
    attempts = Attempts(failures, skips, error or AssertionError("a wrong label"))
    return attempts, lambda: retry(attempts, lambda: attempts.skipped)


@pytest.mark.parametrize(("counted", "skipped"), [(7, 3), (9, 1), (9, 100)])
def test_what_is_missing_is_explained_by_as_many_skipped_runs(counted: int, skipped: int) -> None:
    with pytest.raises(FewerError):
        exactly(counted, 10, skipped)


@pytest.mark.parametrize(("counted", "skipped"), [(7, 2), (9, 0), (11, 100)])
def test_more_is_missing_or_too_much_was_counted(counted: int, skipped: int) -> None:
    with pytest.raises(AssertionError) as told:
        exactly(counted, 10, skipped)
    assert not isinstance(told.value, FewerError)


def test_exact_is_exact() -> None:
    exactly(10, 10, 0)
    exactly(10, 10, 5)


def test_chance_passes_when_it_is_run_again() -> None:
    attempts, run = attempt(TRIES - 1, skips=True)
    run()
    assert attempts.made == TRIES


def test_a_wrong_label_fails_however_many_runs_are_skipped() -> None:
    attempts, run = attempt(99, skips=True)
    with pytest.raises(AssertionError, match="a wrong label"):
        run()
    assert attempts.made == TRIES


def test_what_fails_and_no_run_was_skipped_fails_at_once() -> None:
    attempts, run = attempt(1, skips=False, error=KeyError("not counted"))
    with pytest.raises(KeyError):
        run()
    assert attempts.made == 1


def test_other_errors_are_not_tried_again() -> None:
    attempts, run = attempt(1, skips=True, error=RuntimeError("the workload failed"))
    with pytest.raises(RuntimeError):
        run()
    assert attempts.made == 1


def test_what_skipped_runs_explain_is_not_tried_again() -> None:
    attempts, run = attempt(1, skips=True, error=FewerError("9 of 10"))
    with pytest.raises(FewerError):
        run()
    assert attempts.made == 1
