# SPDX-License-Identifier: GPL-2.0-only
"""SIGTERM and SIGINT: both end a command, at any moment, as success."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ENDING = (signal.SIGTERM, signal.SIGINT)


class Interrupted(KeyboardInterrupt):
    """The user wants to end the command.

    A separate class: Python exits by SIGINT in any case once a plain KeyboardInterrupt has left
    code run by ``exec()``, as imports are.
    """


def interrupt(_number: int, _frame: object) -> None:
    """Signal handler: raise ``Interrupted``."""
    raise Interrupted


def on_ending(action: Any) -> None:
    """Set the action of both signals, and unblock them."""
    for number in ENDING:
        signal.signal(number, action)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def hold() -> None:
    """Block both until ``on_ending()``."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)


@contextmanager
def interrupting() -> Iterator[None]:
    """Both raise ``Interrupted`` during the block."""
    before = [signal.getsignal(number) for number in ENDING]
    on_ending(interrupt)
    yield
    for number, handler in zip(ENDING, before, strict=True):
        signal.signal(number, handler)
