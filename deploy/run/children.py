# SPDX-License-Identifier: GPL-2.0-only
# ruff: noqa: T201 - it prints for a person
"""The child programs of ``make run``: started, watched, stopped."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

END_SECONDS = 10


class RunError(Exception):
    """``make run`` cannot continue; the text says why and what to do."""


def say(text: str) -> None:
    """Print a line at once, between those of the exporter."""
    print(f"make run: {text}", flush=True)


class Children:
    """The started programs; they stop with this one, the last one first."""

    def __init__(self, lock: int) -> None:
        self._lock = lock
        self._running: list[tuple[str, subprocess.Popen[bytes], Path | None]] = []

    def start(
        self, name: str, command: list[str], log: Path | None = None, output: int | None = None
    ) -> None:
        """Start a program in ``/`` and its own session, out of reach of the terminal's Ctrl-C.

        ``output`` is the descriptor of its log, which is closed here.
        """
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[self._lock],
            start_new_session=True,
            cwd="/",
        )
        self._running.append((name, process, log))
        if output is not None:
            os.close(output)

    def check(self) -> None:
        """RunError if one of them has ended by itself."""
        for name, process, log in self._running:
            if process.poll() is None:
                continue
            status = process.returncode
            how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
            text = f"{name} ended by itself {how}"
            if log is None:
                raise RunError(f"{text}: its messages are above")
            lines = log.read_text(errors="replace").splitlines()[-15:]
            raise RunError(f"{text}; the end of {log}:\n" + "\n".join(lines))

    def wait_until(self, ready: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait while all of them run; RunError if one ends or it takes too long."""
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise RunError(f"{what} is not ready after {seconds:.0f} s")
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop them in reverse order; kill leftover processes of their groups."""
        while self._running:
            name, process, _ = self._running.pop()
            process.terminate()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                say(f"{name} did not end within {END_SECONDS} s: killed")
                process.kill()
            with suppress(ProcessLookupError):  # nothing was left
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
