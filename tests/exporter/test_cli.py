# SPDX-License-Identifier: GPL-2.0-only
"""The command: its helps, exit codes and errors; and the exporter as a real process."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from exporter import cli
from exporter.cli import RunError
from probes import blind_spots
from probes.taxonomy import Mode

ROOT = Path(__file__).parents[2]

# The real command with a session and a collector that need no kernel. It tells on standard
# output what happens to them.
PROGRAM = """
import sys, time
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from exporter import cli
from probes.taxonomy import Mode

def tell(text):
    print(text, flush=True)

class Session:
    mode = Mode.TRACEPOINT
    report = {
        "mode": "tracepoint",
        "refused": [{"mode": "fentry", "why": "refused\\nlong log"}],
        "hooks": [
            {"function": "sys_exit", "layer": "file", "mode": "tracepoint", "state": "attached",
             "why": ""},
            {"function": "vfs_x", "layer": "file", "mode": "tracepoint", "state": "failed",
             "why": "no such thing"},
        ],
    }
    def close(self):
        tell("detached")

class Fake(Collector):
    def __init__(self, session, version, max_series):
        tell(f"collector of {max_series}")
        if "collector-fails" in WISHES:
            raise cli.RunError("the collector failed")
    def collect(self):
        yield GaugeMetricFamily("fdscope_test", "Help.", 1)
    def ready(self):
        return None
    def attachments(self):
        return Session.report["hooks"]
    def close(self):
        tell("collector closed")

def check():
    if "no-capability" in WISHES:
        raise cli.RunError("not root")

def attach(modes, settings, progress):
    tell(f"attaching {','.join(m.value for m in modes)}, {settings}")
    progress("compiling")
    if "attach-fails" in WISHES:
        raise cli.RunError("no probe could be attached: why\\nRun `fdscope doctor`")
    if "attach-hangs" in WISHES:
        time.sleep(60)
    return Session()

WISHES = sys.argv.pop(1)
parts = cli.Parts(check, attach, Fake)
cli.run_exporter.__defaults__ = (parts,)
sys.exit(cli.main())
"""


@contextlib.contextmanager
def exporter(wishes: str, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """Run ``PROGRAM`` on a free port; at the end it is no more."""
    command = [sys.executable, "-c", PROGRAM, wishes, "exporter", "--web.listen-address"]
    process = subprocess.Popen(
        [*command, "127.0.0.1:0", *flags],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def read_until(stream: Iterator[str], text: str) -> list[str]:
    lines = []
    for line in stream:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"no {text!r} in {lines}")


def fdscope(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exporter.cli", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serves_until_a_signal_and_detaches(number: signal.Signals) -> None:
    with exporter("", "--process.max-series=7", "--exclude-self") as process:
        assert process.stderr
        told = read_until(process.stderr, "metrics: http")
        address = re.search(r"http://127\.0\.0\.1:([0-9]+)/metrics", told[-1])
        assert address
        with socket.create_connection(("127.0.0.1", int(address[1]))) as client:
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: client.recv(65536), b""))
        process.send_signal(number)
        output, errors = process.communicate(timeout=20)
    assert b"fdscope_test 1.0" in answer
    assert process.returncode == 0
    assert "Traceback" not in errors
    assert output.splitlines()[1:] == ["collector of 7", "collector closed", "detached"]
    assert f"exclude_tgid={process.pid}" in output
    everything = "".join(told)
    assert "INFO mode fentry does not work here: refused\n" in everything
    assert "INFO attached, file layer: sys_exit\n" in everything
    assert "WARNING failed: vfs_x: no such thing\n" in everything
    assert "INFO attach mode: tracepoint\n" in everything
    assert "INFO not traced: io_uring" in everything


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_compiling_ends_it(number: signal.Signals) -> None:
    with exporter("attach-hangs") as process:
        assert process.stderr
        read_until(process.stderr, "compiling")
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("wish", "output", "errors"),
    [
        ("no-capability", [], "fdscope exporter: not root\n"),
        ("attach-fails", [], "attached: why\nRun `fdscope doctor`\n"),
        ("collector-fails", ["detached"], "fdscope exporter: the collector failed\n"),
    ],
)
def test_expected_failures(wish: str, output: list[str], errors: str) -> None:
    with exporter(wish) as process:
        told, why = process.communicate(timeout=20)
    assert process.returncode == 1
    assert why.endswith(errors)
    assert "Traceback" not in why
    assert told.splitlines()[2:] == output


def test_a_port_in_use_is_found_before_anything_is_attached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        address = f"127.0.0.1:{holder.getsockname()[1]}"
        with exporter("", f"--web.listen-address={address}") as process:
            told, why = process.communicate(timeout=20)
    assert (process.returncode, told) == (1, "")
    assert f"cannot listen on {address}: Address already in use" in why
    assert "ss -ltnp" in why


def test_a_reader_of_the_log_that_leaves_does_not_end_it() -> None:
    with exporter("") as process:
        assert process.stderr
        assert process.stdout
        process.stderr.close()
        read_until(process.stdout, "collector of")
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert "detached" in process.stdout.read()
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["exporter", "--probe.mode=x"], "fdscope exporter: --probe.mode: 'x' is not one of"),
        (["exporter", "--config.file=/nonexistent"], "cannot read /nonexistent: No such file"),
        (["exporter", "--nothing"], "unrecognized arguments: --nothing"),
        (["exporter", "--probe.lat"], "unrecognized arguments: --probe.lat"),
        (["exportr"], "invalid choice: 'exportr'"),
        ([], "required: COMMAND"),
    ],
)
def test_wrong_usage(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("command", ["", *(command.name for command in cli.COMMANDS)])
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*command.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 100
    assert "fdscope exporter" in text if not command else f"fdscope {command}" in text
    if command:
        assert "examples:" in text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["version", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert list(facts) == ["fdscope", "python", "bcc", "kernel"]
    assert facts["kernel"] == os.uname().release
    assert cli.main(["version"]) == 0
    assert f"kernel   {facts['kernel']}\n" in capsys.readouterr().out


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", ["version", "exporter --help"])
def test_a_reader_that_leaves_is_no_error(arguments: str, unbuffered: str) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        result = subprocess.run(
            [sys.executable, "-m", "exporter.cli", *arguments.split()],
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


def status(directory: Path, bits: Sequence[int]) -> Path:
    path = directory / "status"
    path.write_text(f"Name:\tx\nCapEff:\t{sum(1 << bit for bit in bits):016x}\nCapBnd:\t0\n")
    return path


@pytest.mark.parametrize("bits", [(21,), (38, 39), (21, 38, 39)])
def test_capabilities_that_do(tmp_path: Path, bits: Sequence[int]) -> None:
    cli.check_capabilities(status(tmp_path, bits))


@pytest.mark.parametrize(
    ("bits", "missing"),
    [((), "CAP_PERFMON and CAP_BPF"), ((38,), "CAP_BPF"), ((39,), "CAP_PERFMON")],
)
def test_capabilities_that_do_not(tmp_path: Path, bits: Sequence[int], missing: str) -> None:
    with pytest.raises(RunError, match=f"needs {missing}, which .*as root.*AmbientCap"):
        cli.check_capabilities(status(tmp_path, bits))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give root away")
def test_not_root_is_told_so() -> None:
    result = subprocess.run(
        ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-m",
         "exporter.cli", "exporter"],
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


@pytest.mark.parametrize("mode", Mode)
def test_blind_spots_say_what_and_why(mode: Mode) -> None:
    lines = blind_spots.for_mode(mode)
    assert len(set(lines)) == len(lines) > 5
    assert all(what and why for what, _, why in (line.partition(": ") for line in lines))
    assert any("io_uring" in line for line in lines)
    assert any(line.startswith("sendfile") for line in lines) is (mode is not Mode.TRACEPOINT)
