# SPDX-License-Identifier: GPL-2.0-only
"""Writes the text to descriptors it was given: the child process of ``demonstration.doors``."""

import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

NAME = "fdscope-doors"
TEXT = (b"A socket is a file. " * 50)[:1000]


def _send(fd: int, text: bytes) -> int:
    with socket.socket(fileno=os.dup(fd)) as sock:
        return sock.send(text)


CALLS: dict[str, Callable[[int, bytes], int]] = {"write": os.write, "send": _send}


def main(plan: str) -> None:
    """Make each call of ``plan``, a JSON list of (call, fd), once; stop before and after.

    It stops, as by SIGSTOP, because a message to the parent would be counted too. It ends with
    status 1 if a call has not moved the whole text.
    """
    Path("/proc/self/comm").write_text(NAME)
    os.kill(os.getpid(), signal.SIGSTOP)
    for call, fd in json.loads(plan):
        if CALLS[call](fd, TEXT) != len(TEXT):
            raise SystemExit(1)
    os.kill(os.getpid(), signal.SIGSTOP)
