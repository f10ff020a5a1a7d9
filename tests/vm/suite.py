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
TIMED = "exec timeout -s INT -k {kill} {limit} sh -c {command}\n"
PYTEST = (
    *("python3", "-m", "pytest", "-v", "-p", "no:cacheprovider", "--color=no"),
    *("--durations=15", "--junitxml=/reports/pytest.xml", "-m", "not native"),
)
SHELL = """\
. /lab/ports
stty -F "$CONSOLE" rows {rows} cols {columns}
exec setsid -c bash -i <"$CONSOLE" >"$CONSOLE" 2>&1
"""


def pytest_target(checkout: Path, *, smoke: bool) -> str:
    """Return what pytest is to run: the native tests, or the lab's test of itself."""
    return SMOKE if smoke or not (checkout / TESTS).is_dir() else TESTS


def pytest_command(arguments: Sequence[str]) -> str:
    """Return the shell command that runs pytest with these arguments."""
    return shlex.join([*PYTEST, *arguments])


def guest_script(cell: Cell, mode: str, limit: int, command: str) -> str:
    """Return the script that runs a shell command in an attach mode, for `limit` seconds at most.

    Its status is that of the command, or TIMED_OUT or KILLED of `tests.vm.results`.
    """
    variables = {
        "FDSCOPE_VM_CELL": cell.name,
        "FDSCOPE_REPORTS": "/reports",
        "FDSCOPE_ATTACH_MODE": mode,
        "FDSCOPE_TEST_CHURN": CHURN,
    }
    export = "".join(f"export {name}={shlex.quote(str(v))}\n" for name, v in variables.items())
    return export + TIMED.format(kill=KILL_AFTER, limit=limit, command=shlex.quote(command))


def shell_command(rows: int, columns: int) -> str:
    """Return the script that gives the console to a login of the given size."""
    return SHELL.format(rows=rows, columns=columns)
