# SPDX-License-Identifier: GPL-2.0-only
"""``fdscope run`` and ``fdscope files`` through a control socket, as a user runs them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fdscope.exporter.spotlight import protocol
from fdscope.probes.read.session import Session
from tests.kernel.spotlight.watching import watched

FDSCOPE = (sys.executable, "-m", "fdscope")


def fdscope(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*FDSCOPE, *arguments], capture_output=True, text=True, timeout=120, check=False, **options
    )


def run(control: Path, *arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    return fdscope("run", f"--control={control}", *arguments, **options)


def report_of(control: Path, tmp_path: Path, *command: str) -> dict[str, Any]:
    output = tmp_path / "report.json"
    run(control, "--json", f"--output={output}", "--", *command)
    report: dict[str, Any] = json.loads(output.read_text())
    return report


def nothing_is_watched(session: Session) -> None:
    """Wait until nothing is, however long the exporter takes to see that a client is gone."""
    deadline = time.monotonic() + 30
    while (left := watched(session)).processes or left.files or left.done:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_output_and_input_are_the_commands(control: Path, session: Session) -> None:
    done = run(control, "--", "sh", "-c", "cat; echo err >&2; exit 3", input="through\n")
    assert (done.returncode, done.stdout) == (3, "through\n")
    first, second, *report = done.stderr.splitlines()
    assert first == "err"
    assert second.startswith("sh -c cat; echo err >&2; exit 3 ended with status 3 after ")
    assert any("cat (pid " in line for line in report)
    nothing_is_watched(session)


def test_the_three_reports_of_the_essay(control: Path, tmp_path: Path) -> None:
    """The same program text writes to a file, to a terminal, and to a socket."""
    program = ("sh", "-c", "echo hello")
    seen = {}
    with (tmp_path / "file").open("w") as file:
        seen["file"] = subprocess.run(
            [*FDSCOPE, "run", f"--control={control}", "--json", "--", *program],
            stdout=file, stderr=subprocess.PIPE, check=True,
        ).stderr  # fmt: skip
    master, slave = os.openpty()
    here, there = socket.socketpair()
    for name, output in (("terminal", slave), ("socket", there.fileno())):
        seen[name] = subprocess.run(
            [*FDSCOPE, "run", f"--control={control}", "--json", "--", *program],
            stdout=output, stderr=subprocess.PIPE, check=True,
        ).stderr  # fmt: skip
    os.close(master)
    os.close(slave)
    here.close()
    there.close()
    written = {}
    for name, text in seen.items():
        rows = [
            (file["fd_type"], each["door"], each["operations"], each["bytes"])
            for process in json.loads(text)["processes"]
            for file in process["files"]
            for each in file["operations"]
            if each["what"] == "write"
        ]
        (written[name],) = rows
    assert written == {
        "file": ("regular", "read_write", 1, 6),
        "terminal": ("tty", "read_write", 1, 6),
        "socket": ("unix_stream", "read_write", 1, 6),
    }


def test_from_before_the_first_instruction(control: Path, tmp_path: Path) -> None:
    """The dynamic linker's first read is there, and nothing of fdscope's own child."""
    report = report_of(control, tmp_path, "/bin/true")
    (process,) = report["processes"]
    reads = {file["name"].rpartition("/")[2]: file for file in process["files"]}
    assert any(name.startswith("libc.so") for name in reads)
    assert not [name for name in reads if name == "environ" or name.endswith(".py")]
    assert (report["exit_status"], report["signal"]) == (0, None)


@pytest.mark.parametrize(
    ("command", "status", "why"),
    [
        (["no-such-command"], 127, "no-such-command: command not found"),
        (["/etc/hostname/x"], 127, "/etc/hostname/x: command not found"),
        (["/etc"], 126, "/etc: Permission denied"),
        (["/proc/version"], 126, "/proc/version: Permission denied"),
    ],
)
def test_commands_that_cannot_be_run(
    control: Path, session: Session, command: list[str], status: int, why: str
) -> None:
    done = run(control, "--", *command)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr == f"fdscope run: {why}\n"
    nothing_is_watched(session)


def test_wrong_usage(control: Path, tmp_path: Path) -> None:
    for arguments in ([], ["--"]):
        done = run(control, *arguments)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    ran = tmp_path / "ran"
    done = run(control, "--output=/no/such/folder/x", "--", "touch", str(ran))
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "cannot write to /no/such/folder/x" in done.stderr
    assert not ran.exists()
    done = run(control, "--output=/dev/full", "--", "true")
    assert done.returncode == 1
    assert done.stderr == "fdscope run: the report cannot be written: No space left on device\n"


def test_signals(control: Path, session: Session) -> None:
    """Those that fdscope gets are passed on; the status is a shell's."""
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGUSR1, lambda *_: sys.exit(9))\n"
        "print('ready', flush=True); time.sleep(60)\n"
    )
    for number, status in ((signal.SIGUSR1, 9), (signal.SIGTERM, 128 + signal.SIGTERM)):
        with subprocess.Popen(
            [*FDSCOPE, "run", f"--control={control}", "--", sys.executable, "-c", code],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            process.send_signal(number)
            assert process.wait(60) == status
    nothing_is_watched(session)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_client_that_is_killed_leaves_nothing(
    control: Path, session: Session, number: signal.Signals
) -> None:
    with subprocess.Popen(["sleep", "100"]) as busy:
        with subprocess.Popen(
            [*FDSCOPE, "files", f"--control={control}", "--json", str(busy.pid)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as client:  # fmt: skip
            assert client.stdout
            report = json.loads(client.stdout.readline())
            assert [process["pid"] for process in report["processes"]] == [busy.pid]
            assert watched(session).processes
            client.send_signal(number)
            client.communicate()
        nothing_is_watched(session)
        busy.kill()


def test_files_once(control: Path, tmp_path: Path) -> None:
    """One look: open files, with what was done meanwhile."""
    code = (
        "import os, sys, time\n"
        "fd = os.open(sys.argv[1] + '/log', os.O_WRONLY | os.O_CREAT | os.O_APPEND)\n"
        "os.dup2(fd, 70); print('', flush=True)\n"
        "while True: os.write(fd, b'12345'); time.sleep(0.01)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE
    ) as busy:
        assert busy.stdout
        busy.stdout.readline()
        try:
            done = fdscope(
                "files", f"--control={control}", "--once", "--seconds=0.5", "--json", str(busy.pid)
            )
            text = fdscope("files", f"--control={control}", "--once", str(busy.pid)).stdout
            everything = fdscope("files", f"--control={control}", "--all", "--json")
        finally:
            busy.kill()
    (process,) = json.loads(done.stdout)["processes"]
    (log,) = (file for file in process["files"] if file["name"] == f"{tmp_path}/log")
    assert log["open"]
    assert log["fds"][-1] == 70
    assert len(log["fds"]) == 2
    assert (log["access"], log["flags"]) == ("w", ["APPEND"])
    (written,) = log["operations"]
    assert written["what"] == "write"
    assert written["bytes"] == 5 * written["operations"] > 0
    (line,) = (line for line in text.splitlines() if line.endswith(f"{tmp_path}/log"))
    assert line.split()[:5] == [str(busy.pid), process["process"], "3,70", "regular", "w"]
    listed = {each["pid"]: each for each in json.loads(everything.stdout)["processes"]}
    assert any(file["name"] == f"{tmp_path}/log" for file in listed[busy.pid]["files"])


def test_processes_that_are_not_there(control: Path, session: Session) -> None:
    for target, why in (
        ("999999999", "there is no process 999999999"),
        ("no-such-name", "no process, unit or container is called no-such-name"),
        ("a\x1b[31m", "no process, unit or container is called a\\x1b[31m"),
    ):
        done = fdscope("files", f"--control={control}", target)
        assert (done.returncode, done.stderr) == (1, f"fdscope files: {why}\n")
    done = fdscope("files", f"--control={control}")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    nothing_is_watched(session)


def test_other_users(control: Path, session: Session) -> None:
    """Neither other users nor another group may; a member of the group may."""
    arguments = ["files", f"--control={control}", "--all", "--json"]
    stranger = fdscope(*arguments, user=12345, group=12345, extra_groups=[])
    assert stranger.returncode == 1
    assert len(stranger.stderr.splitlines()) == 1
    assert "only root, and the group of --control.group" in stranger.stderr
    member = fdscope(*arguments, user=12345, group=65534, extra_groups=[])
    assert member.returncode == 0, member.stderr
    nothing_is_watched(session)


def test_another_version(control: Path, tmp_path: Path) -> None:
    """Both sides say in one line that they do not match."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(control))
        client.sendall(b'{"protocol": 99, "version": "9.9"}\n')
        answer = json.loads(client.makefile().readline())
    assert "the client is fdscope 9.9 with another control protocol" in answer["error"]
    path = tmp_path / "other.sock"
    code = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()\n"
        "print('', flush=True); c, _ = s.accept(); c.recv(999)\n"
        'c.send(b\'{"protocol": 99, "version": "9.9"}\\n\'); c.recv(1)\n'
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as other:
        assert other.stdout
        other.stdout.readline()
        done = fdscope("files", f"--control={path}", "--all")
        other.kill()
    assert done.returncode == 1
    assert done.stderr == (
        "fdscope files: the exporter that runs is fdscope 9.9 with another control protocol: use"
        " the same version of fdscope on both sides, or --control=off\n"
    )


def test_what_is_no_request(control: Path, session: Session) -> None:
    """Odd clients are dropped or told, and nobody else is disturbed."""
    hello = protocol.encode(protocol.greeting("x"))
    for odd in (b"\n", b"[]\n", b"\xff\n", b"{" * 5000 + b"\n", b"x" * 200_000, b"", b'{"do":1}\n'):
        for first in (b"", hello):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(30)
                client.connect(str(control))
                client.sendall(first + odd)
                client.shutdown(socket.SHUT_WR)
                answers = client.makefile("rb").readlines()
            assert all(json.loads(answer) is not None for answer in answers)
    assert fdscope("files", f"--control={control}", "--once", str(os.getpid())).returncode == 0
    nothing_is_watched(session)
