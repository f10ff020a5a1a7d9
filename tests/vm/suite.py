# SPDX-License-Identifier: GPL-2.0-only
"""The shell commands that a guest runs."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from tests.vm.cells import Cell

TESTS = "tests/kernel"
SMOKE = "tests/vm/guest_smoke.py"
KILL_AFTER = 30
CHURN = 300
"""Short-lived processes of a test: forking is slow under emulation."""
MODE_STEP = """\
echo "@@MODE {mode} started"
FDSCOPE_ATTACH_MODE={mode} timeout -s INT -k {kill} {limit} \\
    python3 -m pytest -v -p no:cacheprovider --color=no \\
    --junitxml=/reports/{mode}.xml {arguments}
status=$?
echo "@@MODE {mode} ended $status"
[ "$status" -eq 0 ] || worst=1
"""
SHELL = """\
. /lab/ports
stty -F "$CONSOLE" rows {rows} cols {columns}
exec setsid -c bash -i <"$CONSOLE" >"$CONSOLE" 2>&1
"""


def pytest_target(checkout: Path, *, smoke: bool) -> str:
    """Return what pytest is to run: the native tests, or the lab's test of itself."""
    return SMOKE if smoke or not (checkout / TESTS).is_dir() else TESTS


def suite_command(cell: Cell, modes: Sequence[str], limit: int, pytest: Sequence[str]) -> str:
    """Return the script that runs pytest once for each mode, `limit` seconds at most each.

    Its status is 1 if any run failed; a failed mode does not stop the next.
    """
    arguments = shlex.join(pytest)
    steps = [
        MODE_STEP.format(mode=mode, kill=KILL_AFTER, limit=limit, arguments=arguments)
        for mode in modes
    ]
    variables = {
        "FDSCOPE_VM_CELL": cell.name,
        "FDSCOPE_REPORTS": "/reports",
        "FDSCOPE_TEST_CHURN": CHURN,
    }
    export = "".join(f"export {name}={shlex.quote(str(v))}\n" for name, v in variables.items())
    return f"{export}worst=0\n{''.join(steps)}exit $worst\n"


def shell_command(rows: int, columns: int) -> str:
    """Return the script that gives the console to a login of the given size."""
    return SHELL.format(rows=rows, columns=columns)
