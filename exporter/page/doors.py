# SPDX-License-Identifier: GPL-2.0-only
"""The demonstration at the head of the page: one run at a time, for all that ask meanwhile."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from fdscope.probes.demonstration.doors import DoorsError, Lane

FRESH_SECONDS = 1.0
"""A result of at most this age is sent again."""

log = logging.getLogger(__name__)


Demonstration = Callable[[], Sequence[Lane]]
"""Writes the bytes and reads the counts; DoorsError if it cannot."""


def no_demonstration() -> Sequence[Lane]:
    """For a server without probes."""
    raise DoorsError("no probe is attached")


class Doors:
    """Runs the demonstration in another thread; for one event loop."""

    def __init__(self, run: Demonstration, clock: Callable[[], float] = time.monotonic) -> None:
        self._run = run
        self._clock = clock
        self._running: asyncio.Task[Sequence[Lane]] | None = None
        self._ended = 0.0

    async def lanes(self) -> Sequence[Lane]:
        """The result of the run in progress, of one that has just ended, or of a new one.

        DoorsError if it cannot be run.
        """
        if self._running is None or self._is_old(self._running):
            self._running = asyncio.create_task(self._once())
        # A client that leaves does not end it for the others.
        return await asyncio.shield(self._running)

    def _is_old(self, task: asyncio.Task[Sequence[Lane]]) -> bool:
        return task.done() and self._clock() - self._ended > FRESH_SECONDS

    async def _once(self) -> Sequence[Lane]:
        try:
            return await asyncio.to_thread(self._run)
        except DoorsError:
            raise
        except Exception as error:
            log.exception("the demonstration failed")
            raise DoorsError("the demonstration failed: see the exporter's log") from error
        finally:
            self._ended = self._clock()
