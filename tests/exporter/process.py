# SPDX-License-Identifier: GPL-2.0-only
"""The exporter as a separate process, with parts that need no kernel."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.paths import ROOT


@contextlib.contextmanager
def exporter(
    wishes: str, *flags: str, before: Callable[[], None] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run ``tests.exporter.fake`` on a free port; kill it at the end.

    ``before`` is called in the child before the program starts.
    """
    command = [sys.executable, "-m", "tests.exporter.fake", wishes, "exporter"]
    if not any(flag.startswith("--web.listen-address=unix:") for flag in flags):
        command.append("--web.listen-address=127.0.0.1:0")
    process = subprocess.Popen(
        [*command, *flags],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def wait_until_caught(pid: int, *numbers: signal.Signals) -> None:
    """Wait until a process has handlers for these signals."""
    deadline = time.monotonic() + 60
    mask = sum(1 << number - 1 for number in numbers)
    while True:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:"))
        if caught & mask == mask:
            return
        assert time.monotonic() < deadline, "the process does not catch the signals"
        time.sleep(0.001)


def wait_until_handled(pid: int) -> None:
    """Wait until a process has no signal left to handle."""
    deadline = time.monotonic() + 60
    while True:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        pending = [line.split()[1] for line in lines if line.startswith(("SigPnd:", "ShdPnd:"))]
        if not any(int(mask, 16) for mask in pending):
            return
        assert time.monotonic() < deadline, "a signal stays pending"
        time.sleep(0.001)


def read_until(stream: Iterator[str], text: str) -> list[str]:
    """The lines up to the first that holds this text; AssertionError if none does."""
    lines = []
    for line in stream:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"no {text!r} in {lines}")


def first_child(pid: int) -> int:
    """Wait until a process has a child; return its pid."""
    deadline = time.monotonic() + 60
    while not (children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
        assert time.monotonic() < deadline, "the process starts nothing"
        time.sleep(0.01)
    return int(children[0])


def wait_until_serving(pid: int, threads: int = 3) -> None:
    """Wait until a process has its threads, with that which scrapes: a collection was served."""
    deadline = time.monotonic() + 300
    while True:
        names = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/comm")]
        if len(names) >= threads:
            return
        assert time.monotonic() < deadline, names
        time.sleep(0.05)
