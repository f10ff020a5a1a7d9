# SPDX-License-Identifier: GPL-2.0-only
"""What a command loads before it does anything: clients of an exporter are there at once."""

import subprocess
import sys

import pytest

SERVER = {"tornado", "asyncio", "prometheus_client", "yaml", "bcrypt"}
PROBES = {"numpy", "bcc"}
SCREEN = {"urwid"}


def loaded(*arguments: str) -> set[str]:
    """The packages that a command line has loaded at its end."""
    code = (
        "import sys\nfrom fdscope.exporter.cli.main import main\n"
        "main(sys.argv[1:])\nprint(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("command", ["files", "run", "top", "leaks", "events", "version"])
def test_a_client_loads_no_server_and_no_probes(command: str) -> None:
    arguments = {
        "files": ("--all",),
        "run": ("true",),
        "top": ("--once",),
        "events": ("/x",),
        "leaks": ("1",),
    }
    control = () if command in ("events", "version") else ("--control=/no/such.sock",)
    got = loaded(command, *control, *arguments.get(command, ()))
    assert "fdscope" in got
    assert not got & (SERVER | PROBES | SCREEN)


def test_the_exporter_loads_no_screen() -> None:
    got = loaded("exporter", "--config.file=/no/such.toml")
    code = "import fdscope.exporter.run, fdscope.exporter.collector, sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not (got | {name.split(".")[0] for name in run.stdout.split()}) & SCREEN
    assert "tornado" in run.stdout
