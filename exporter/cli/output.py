# SPDX-License-Identifier: GPL-2.0-only
"""Standard output and error: closed streams, readers that leave, full disks."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


class OutputError(Exception):
    """Output that could not be written; the text says why."""


def open_missing_streams() -> None:
    """Put /dev/null where standard input, output or error is closed (``fdscope doctor >&-``).

    Else the next file that is opened would get its number, and be written to. OSError if there is
    no /dev/null.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        # Names of files need not be UTF-8, and standard output need not be either.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def show(text: str) -> None:
    """Print to standard output; OutputError if it cannot be written."""
    with writing(sys.stdout):
        print(text)


@contextmanager
def writing(stream: TextIO) -> Iterator[None]:
    """Flush at the end; a reader that has left (``fdscope doctor | head``) is no error.

    OutputError for a disk that is full and the like.
    """
    try:
        yield
        stream.flush()
    except BrokenPipeError:
        _discard(stream)
    except OSError as error:
        _discard(stream)
        name = "standard error" if stream is sys.stderr else "standard output"
        raise OutputError(f"cannot write to {name}: {error.strerror}") from error


def _discard(stream: TextIO) -> None:
    """Point the stream at /dev/null: Python flushes once more at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
