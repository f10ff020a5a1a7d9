# SPDX-License-Identifier: GPL-2.0-only
"""Runs other programs and turns their failures into errors with advice."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

SHOWN_LINES = 25


class LabError(Exception):
    """A step of the lab failed; the text names the step and what to do."""


class MissingMeansError(LabError):
    """The machine cannot run the lab at all: a skip, not a failure."""


def tail(text: str, lines: int = SHOWN_LINES) -> str:
    """Return the last `lines` lines of `text`."""
    return "\n".join(text.splitlines()[-lines:])


def run(
    argv: Sequence[str | Path],
    *,
    what: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a program to its end and return what it wrote to standard output.

    Raises LabError, naming `what` was tried, when the program is missing or
    ends with a status other than 0.
    """
    try:
        done = subprocess.run(
            [str(part) for part in argv],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError as error:
        message = f"{what}: {argv[0]} is not installed"
        raise LabError(message) from error
    if done.returncode != 0:
        said = tail(done.stderr or done.stdout)
        message = f"{what}: {argv[0]} ended with {done.returncode}\n{said}"
        raise LabError(message)
    return done.stdout
