# SPDX-License-Identifier: GPL-2.0-only
"""The self-test of a running exporter: the result of the last one, and the time of the next."""

import logging
import subprocess
import threading
import time
from collections.abc import Callable, Sequence

from fdscope.exporter import logs
from fdscope.probes.selftest.run import Result, Row

log = logging.getLogger(__name__)

_RETRY_SECONDS = 60.0
"""Wait after a test that could not judge the probes."""


class StoppedError(Exception):
    """The exporter stops, so the test in progress is given up."""


class SelfTester:
    """Repeats a self-test every ``interval`` seconds, in a separate thread.

    If that is 0 it does not, except after a test at start that could not judge the probes.
    """

    def __init__(
        self,
        test: Callable[[Callable[[], None]], Result],
        rows: Sequence[Row] = (),
        interval: float = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``test`` calls its argument regularly, and stops if that raises.

        ``rows`` is the result of the test at start.
        """
        self.rows = rows
        self._test = test
        self._interval = interval
        self._clock = clock
        self._next = self._after(bool(rows))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._repeat, name="self-test", daemon=True)

    def start(self) -> None:
        """Start the thread; ``close()`` stops it."""
        self._thread.start()

    def close(self) -> None:
        """Stop; returns when a test in progress has been given up."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the next test; None if there will be none."""
        return None if self._next is None else max(0.0, self._next - self._clock())

    def run(self) -> None:
        """Test now; ``rows`` is empty afterwards if the test cannot be run.

        Wrong rows are tested again at once: the kernel may have skipped a run, which it counts. A
        test that cannot judge the probes leaves the rows as they are. StoppedError if ``close()``
        is called meanwhile.
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
