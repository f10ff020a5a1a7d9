# SPDX-License-Identifier: GPL-2.0-only
"""The self-test of a running exporter: what came of the last one, and the next when it is due."""

import logging
import subprocess
import time
from collections.abc import Callable, Sequence

from exporter import report
from probes.selftest import Row

log = logging.getLogger(__name__)


class SelfTester:
    """Repeats a self-test every ``interval`` seconds; never if that is 0."""

    def __init__(
        self,
        test: Callable[[], Sequence[Row]],
        rows: Sequence[Row] = (),
        interval: float = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``rows`` are those of the test at start."""
        self.rows = rows
        self._test = test
        self._interval = interval
        self._clock = clock
        self._last = clock()

    @property
    def is_due(self) -> bool:
        """True once the interval is over."""
        return bool(self._interval) and self._clock() - self._last >= self._interval

    def run(self) -> None:
        """Test now; without rows afterwards if the test cannot be run.

        What is wrong is tried again at once: the kernel may have skipped a run, which it tells.
        """
        try:
            self.rows = self._test()
            if not all(row.ok for row in self.rows):
                self.rows = self._test()
        except (OSError, subprocess.SubprocessError):
            log.exception("the self-test cannot be run")
            self.rows = ()
        report.self_tested(self.rows)
        self._last = self._clock()
