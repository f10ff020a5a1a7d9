# SPDX-License-Identifier: GPL-2.0-only
"""Tests where the kernel skips runs of the probes: how much may be missing."""

from collections.abc import Callable

TRIES = 3


class FewerError(AssertionError):
    """Fewer operations were counted than done: by no more than the runs that were skipped."""


def exactly(counted: int, expected: int, skipped: int) -> None:
    """AssertionError unless as many operations were counted as done.

    FewerError if the runs that the kernel skipped meanwhile can explain what is missing.
    """
    if 0 < expected - counted <= skipped:
        raise FewerError(f"{counted} of {expected}, and {skipped} runs were skipped")
    assert counted == expected


def retry(test: Callable[[], object], skipped: Callable[[], int]) -> None:
    """Run a test, and again if it fails while ``skipped`` grows: then it may have been chance.

    What fails though no run was skipped, or fails each time, as a wrong label does, is raised.
    """
    for left in reversed(range(TRIES)):
        before = skipped()
        try:
            test()
        except FewerError:
            raise
        except (AssertionError, LookupError):
            if not left or skipped() == before:
                raise
        else:
            return
