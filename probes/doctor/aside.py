# SPDX-License-Identifier: GPL-2.0-only
"""The checks of ``fdscope doctor`` for a running exporter, made in a child process.

The child imports the compiler and reads all of the kernel's types: their memory is given back.
"""

import json
import subprocess
import sys
from dataclasses import asdict
from functools import cache

from fdscope.probes import child
from fdscope.probes.doctor.diagnosis import OK, PROBLEM, Check

_SECONDS = 60.0


class ExaminationError(Exception):
    """The checks cannot be made; the text says why."""


def checks() -> tuple[Check, ...]:
    """All checks of this machine, of the first call; ExaminationError if they cannot be made.

    They are those of a process that has attached its probes already.
    """
    return _checks()


@cache
def _checks() -> tuple[Check, ...]:
    try:
        with child.start(
            "doctor.aside", output=subprocess.PIPE, errors=subprocess.DEVNULL
        ) as started:
            try:
                text, _ = started.communicate(timeout=_SECONDS)
            except subprocess.TimeoutExpired:
                started.kill()
                raise
        found = [Check(**each) for each in json.loads(text)]
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise ExaminationError("this machine cannot be examined: try `fdscope doctor`") from error
    return tuple(map(_of_attached, found))


def _of_attached(check: Check) -> Check:
    if check.name == "capabilities" and check.state == PROBLEM:
        return Check(check.name, OK, "enough to attach; what serving does not need was dropped")
    return check


def main() -> None:
    """Write the checks as JSON."""
    from fdscope.probes.doctor.checks import checks_of
    from fdscope.probes.kernel.host import Host

    json.dump([asdict(check) for check in checks_of(Host())], sys.stdout)
    sys.stdout.flush()
