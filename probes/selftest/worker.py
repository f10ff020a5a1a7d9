# SPDX-License-Identifier: GPL-2.0-only
"""Runs cases, each in a process of its own: the child process of ``probes.selftest.run.run``.

Prints one JSON object on a line: case name to pid, bytes read and written by fd type, or the reason
why the kernel cannot do it. Each case answers through shared memory, for a pipe would be counted.
The processes of the cases, stopped, and this one live until standard input is closed.
"""

import ctypes
import json
import mmap
import os
import signal
import sys
from dataclasses import asdict

from fdscope.probes.child import end_with_parent
from fdscope.probes.selftest.cases import CASES, Answer, Case

NAME = b"fdscope-test"
_PR_SET_NAME = 15  # include/uapi/linux/prctl.h
_SHARED_BYTES = 4096


def _answer(case: Case) -> Answer:
    try:
        moved = case.run()
    except OSError as error:
        return Answer(os.getpid(), unsupported=error.strerror or str(error))
    return Answer(
        os.getpid(),
        {fd_type.label: count for fd_type, count in moved.read.items()},
        {fd_type.label: count for fd_type, count in moved.written.items()},
    )


def _run(case: Case, stopped: list[int]) -> Answer:
    shared = mmap.mmap(-1, _SHARED_BYTES)
    worker = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            end_with_parent(worker)
            text = json.dumps(asdict(_answer(case))).encode()
            shared[: len(text)] = text
            if os.getppid() == worker:
                os.kill(os.getpid(), signal.SIGSTOP)
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        stopped.append(pid)
    text = shared[:].rstrip(b"\0")
    return Answer(**json.loads(text)) if text else Answer(pid, unsupported="the case failed")


def main(which: str) -> None:
    """Run the ``quick`` cases or ``all``, under a name that says whose bytes they are."""
    ctypes.CDLL(None).prctl(_PR_SET_NAME, NAME)
    stopped: list[int] = []
    cases = [case for case in CASES if case.quick or which == "all"]
    answers = {case.name: asdict(_run(case, stopped)) for case in cases}
    sys.stdout.write(f"{json.dumps(answers)}\n")
    sys.stdout.flush()
    sys.stdin.read()
    for pid in stopped:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
