# SPDX-License-Identifier: GPL-2.0-only
"""SIGTERM and SIGINT: both end a command, at any moment, as success."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ENDING = (signal.SIGTERM, signal.SIGINT)


class Interrupted(KeyboardInterrupt):
    """A wish to end.

    Of a class of its own: Python ends by SIGINT, whatever else is asked for, once a plain
    KeyboardInterrupt has left text that was passed to ``exec()``, as imports do.
    """


def interrupt(_number: int, _frame: object) -> None:
    """Signal handler: raise ``Interrupted``."""
    raise Interrupted


def on_ending(action: Any) -> None:
    """Set what both signals do, and let them through."""
    for number in ENDING:
        signal.signal(number, action)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def hold() -> None:
    """Let neither through until ``on_ending()``."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)


@contextmanager
def interrupting() -> Iterator[None]:
    """Both raise ``Interrupted`` meanwhile."""
    before = [signal.getsignal(number) for number in ENDING]
    on_ending(interrupt)
    yield
    for number, handler in zip(ENDING, before, strict=True):
        signal.signal(number, handler)
