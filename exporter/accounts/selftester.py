# SPDX-License-Identifier: GPL-2.0-only
"""The self-test of a running exporter: what came of the last one, and the next when it is due."""

import logging
import subprocess
import threading
import time
from collections.abc import Callable, Sequence

from fdscope.exporter import logs
from fdscope.probes.selftest.run import Result, Row

log = logging.getLogger(__name__)

_RETRY_SECONDS = 60.0
"""After a test that could not judge the probes."""


class StoppedError(Exception):
    """The exporter ends: the test that goes on is of no use any more."""


class SelfTester:
    """Repeats a self-test every ``interval`` seconds, in a thread of its own.

    Never if that is 0, but for a test at start that could not judge the probes.
    """

    def __init__(
        self,
        test: Callable[[Callable[[], None]], Result],
        rows: Sequence[Row] = (),
        interval: float = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``test`` calls its argument now and then, and ends if that raises.

        ``rows`` are those of the test at start.
        """
        self.rows = rows
        self._test = test
        self._interval = interval
        self._clock = clock
        self._next = self._after(bool(rows))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._repeat, name="self-test", daemon=True)

    def start(self) -> None:
        """Begin to repeat it, until ``close()``."""
        self._thread.start()

    def close(self) -> None:
        """Stop; returns when a test that goes on has been given up."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def seconds_left(self) -> float | None:
        """Until the next test is due; None if none will be."""
        return None if self._next is None else max(0.0, self._next - self._clock())

    def run(self) -> None:
        """Test now; without rows afterwards if the test cannot be run.

        What is wrong is tried again at once: the kernel may have skipped a run, which it tells. A
        test that cannot judge the probes leaves the rows as they are. StoppedError if ``close()``
        comes in between.
        """
        try:
            result = self._test(self._go_on)
            if not result.ok and result.judges:
                result = self._test(self._go_on)
        except (OSError, subprocess.SubprocessError):
            log.exception("the self-test cannot be run")
            result = Result((), 0)
        if result.judges:
            self.rows = result.rows
            logs.self_tested(self.rows)
        else:
            log.warning(
                "the self-test cannot judge the probes: %d updates were lost meanwhile because"
                " maps were full",
                result.lost,
            )
        self._next = self._after(result.judges)

    def _after(self, judged: bool) -> float | None:
        if self._interval:
            return self._clock() + self._interval
        return None if judged else self._clock() + _RETRY_SECONDS

    def _go_on(self) -> None:
        if self._stopping.is_set():
            raise StoppedError

    def _repeat(self) -> None:
        while (left := self.seconds_left) is not None:
            if self._stopping.wait(left):
                return
            try:
                self.run()
            except StoppedError:
                return
