# SPDX-License-Identifier: GPL-2.0-only
"""Prints for readers that may leave early, as in ``fdscope doctor | head``."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


def show(text: str) -> None:
    """Print to standard output."""
    with readers_may_leave(sys.stdout):
        print(text)


@contextmanager
def readers_may_leave(stream: TextIO) -> Iterator[None]:
    """Write out at the end; a reader that has left (``fdscope doctor | head``) is no error."""
    try:
        yield
        stream.flush()
    except BrokenPipeError:
        # Python flushes once more at exit, and must find somewhere to write.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
