# SPDX-License-Identifier: GPL-2.0-only
"""The command: help, exit codes and errors."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fdscope.exporter.cli import main
from fdscope.exporter.cli.commands import COMMANDS
from fdscope.probes.hooks import blind_spots
from fdscope.probes.schema.taxonomy import Mode
from tests.paths import ROOT


def fdscope(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fdscope", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["exporter", "--probe.mode=x"], "fdscope exporter: --probe.mode: 'x' is not one of"),
        (["exporter", "--config.file=/nonexistent"], "cannot read /nonexistent: No such file"),
        (["exporter", "--nothing"], "unrecognized arguments: --nothing"),
        (["exporter", "--probe.lat"], "unrecognized arguments: --probe.lat"),
        (
            ["exportr"],
            "invalid choice: 'exportr' is no command; did you mean exporter? (see fdscope --help)",
        ),
        (["file", "1"], "did you mean files?"),
        (
            ["version", "--jsn"],
            "fdscope version: unrecognized arguments: --jsn (see fdscope version --help)",
        ),
        ([], "required: COMMAND"),
        (["x\ny\x1b[31m\udcff"], "invalid choice: 'x"),
        (["version", "x\ny\x1b[31m"], r"unrecognized arguments: x\x0ay\x1b[31m (see fdscope"),
        (["ledger", "--seconds=" + 5000 * "9"], "is not a time above 0 and up to 604800"),
        (["ledger", "--seconds=nan"], "'nan' is not a time"),
        (["ledger", "--seconds=inf"], "'inf' is not a time"),
        (["ledger", "--seconds=-1"], "'-1' is not a time"),
        (["ledger", "--seconds="], "'' is not a time"),
        (["ledger", "--stacks", "--socket=" + 5000 * "9"], "is not an inode number"),
        (["ledger", "--stacks", f"--socket={1 << 64}"], "is not an inode number"),
        (["ledger", "--stacks", "--socket=-1"], "'-1' is not an inode number"),
        (["ledger", "--stacks", "--socket="], "'' is not an inode number"),
        (["ledger", "--socket=5"], "fdscope ledger: --socket goes together with --stacks"),
        (["selftest", "--probe.mode="], "invalid choice: ''"),
        (["selftest", "--probe.mode=\udcff"], "invalid choice: "),
        (["doctor", "--mode=kprobe"], "fdscope doctor: --mode goes together with --blind-spots"),
        (["doctor", "--blind-spots", "--mode=x"], "invalid choice: 'x'"),
        (["rules"], "one of the arguments --out --defaults is required"),
        (["rules", "--config=/nonexistent\udcff", "--out=/nonexistent"], "/nonexistent"),
        (["dashboards"], "the following arguments are required: --out"),
    ],
)
def test_wrong_usage(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(arguments) == 2
    told = capsys.readouterr().err
    assert message in told
    (line,) = told.splitlines()
    assert line.isprintable()
    assert len(line) < 400


@pytest.mark.parametrize(
    "arguments", ["version", "version --json", "--help", "exporter --help", "rules --defaults"]
)
def test_a_full_disk_is_said_in_a_line(arguments: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "fdscope", *arguments.split()],
            cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.endswith("cannot write to standard output: No space left on device\n")
    assert done.stderr.count("\n") == 1


def test_a_full_disk_of_errors_keeps_the_status() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "fdscope", "nothing"]
        assert subprocess.run(command, cwd=ROOT, stderr=full, timeout=60).returncode == 2


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_standard_streams(closed: str) -> None:
    command = f'exec "$@" {closed}'
    done = subprocess.run(
        ["sh", "-c", command, "sh", sys.executable, "-m", "fdscope", "version"],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_a_fault_of_ours_is_shown_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> str:
        raise ZeroDivisionError("here")

    monkeypatch.setattr("fdscope.exporter.cli.commands.version", broken)
    assert main.main(["version"]) == 1
    told = capsys.readouterr().err
    assert "in broken" in told
    assert told.splitlines()[-1] == (
        "fdscope version: internal error, please report it with the lines above:"
        " ZeroDivisionError('here')"
    )


@pytest.mark.parametrize("command", ["", *(command.name for command in COMMANDS)])
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main([*command.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 100
    assert "fdscope exporter" in text if not command else f"fdscope {command}" in text
    if command:
        assert "examples:" in text


@pytest.mark.parametrize("mode", Mode)
def test_blind_spots(mode: Mode, capsys: pytest.CaptureFixture[str]) -> None:
    """The page shows the same list; see test_run.py for its count in the log."""
    arguments = ["doctor", "--blind-spots", f"--mode={mode.value}"]
    spots = blind_spots.of(mode)
    assert main.main(arguments) == 0
    text = capsys.readouterr().out
    kernel = os.uname().release
    assert text.startswith(f"Not traced in {mode.value} mode on Linux {kernel}: {len(spots)}\n")
    assert max(map(len, text.splitlines())) <= 100
    flat = " ".join(text.split())
    assert all(f"- {spot.what} {spot.why}" in flat for spot in spots)
    assert main.main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "mode": mode.value,
        "kernel": kernel,
        "blind_spots": [{"what": spot.what, "why": spot.why} for spot in spots],
    }


def test_numpy_has_one_thread_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread of its own would keep the privileges, and the exporter refuses to serve then."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "8")
    assert main.main(["version"]) == 0
    assert os.environ["OPENBLAS_NUM_THREADS"] == "1"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["version", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert list(facts) == ["fdscope", "python", "bcc", "kernel"]
    assert facts["kernel"] == os.uname().release
    assert main.main(["version"]) == 0
    assert f"kernel   {facts['kernel']}\n" in capsys.readouterr().out


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", ["version", "exporter --help"])
def test_a_reader_that_leaves_is_no_error(arguments: str, unbuffered: str) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        result = subprocess.run(
            [sys.executable, "-m", "fdscope", *arguments.split()],
            cwd=ROOT,
            stdout=theirs,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    finally:
        os.close(theirs)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give root away")
def test_not_root_is_told_so() -> None:
    result = subprocess.run(
        ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-m",
         "fdscope", "exporter"],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (1, "")
    assert "needs CAP_PERFMON and CAP_BPF" in result.stderr


def test_commands_that_are_missing_something_print_no_traceback() -> None:
    result = fdscope("exporter", FDSCOPE_ATTACH_MODE="x")
    assert result.returncode == 2
    assert result.stderr == (
        "fdscope exporter: FDSCOPE_ATTACH_MODE: 'x' is not one of auto, fentry, kprobe,"
        " tracepoint\n"
    )
