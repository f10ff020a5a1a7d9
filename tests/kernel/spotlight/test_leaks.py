# SPDX-License-Identifier: GPL-2.0-only
"""Leaks that were put into programs, and programs that do not leak, watched together."""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from fdscope.exporter.leaks import report
from fdscope.exporter.leaks.watch import LeakWatch
from fdscope.exporter.preconditions import version
from fdscope.exporter.spotlight import protocol
from fdscope.exporter.spotlight.client import ControlError, RemoteLens
from fdscope.exporter.spotlight.lens import OwnLens, recorder_of
from fdscope.probes.read.session import Session
from tests.kernel.spotlight.test_run import fdscope, nothing_is_watched
from tests.scorecard import programs

SECONDS = 6.0
"""Of watching: leaks leave a descriptor behind every 20 ms, or every 100 ms."""
LIMIT = 5000

Found = dict[str, dict[str, Any]]
"""What is found of each program, by its name."""
Start = Callable[..., int]

OF_C = (
    "error_path", "close_wait", "dead_children", "inotify", "epoll", "timerfd", "eventfd",
    "memfd", "dup", "opendir", "socketpair", "threads", "deep_stack",
)  # fmt: skip
HEALTHY = ("fine_thousands", "fine_pool", "fine_rotation", "fine_window", "fine_burst",
           "fine_in_use")  # fmt: skip
FUNCTION = {"threads": "leak_timerfd", "deep_stack": "leak_eventfd"}
"""Where the leak is, if not in the function of its name."""

OF_PYTHON = {
    "list": "def leak():\n    held.append(open('/etc/passwd'))\n",
    "no_close": "import socket\ndef leak():\n    held.append(socket.socket())\n",
    "pipes": "def leak():\n    held.append(os.pipe())\n",
    "error": "def leak():\n    try:\n        f = open('/etc/passwd'); held.append(f)\n"
    "        f.write('x')\n    except OSError:\n        pass\n",
    "thread": "import threading\ndef inner():\n    held.append(os.eventfd(0))\n"
    "def leak():\n    t = threading.Thread(target=inner); t.start(); t.join()\n",
}
INNER = {"thread": "inner"}
_LOOP = """
import os, time
held = []
{body}
def serve():
    while True:
        leak()
        with open('/etc/hostname') as fine: fine.read()
        time.sleep(0.05)
serve()
"""


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    if programs.compiler_is_here():  # guests of the lab get the programs compiled
        programs.build(platform.machine())


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a program that is ended after the test; its pid."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*command: str | Path, **options: Any) -> int:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=tmp_path, **options)
        started.append(process)
        return process.pid

    yield begin
    for process in started:
        process.kill()
        process.wait()


def watched(session: Session, pids: dict[str, int], seconds: float = SECONDS) -> Found:
    """Watch them all for some time."""
    recorder = recorder_of(session)
    assert recorder
    lens = OwnLens(recorder, session.mode.value, "test")
    try:
        return look(lens, pids, seconds)
    finally:
        lens.close()
        nothing_is_watched(session)


def look(lens: "OwnLens | RemoteLens", pids: dict[str, int], seconds: float) -> Found:
    with ExitStack() as stack:
        watches = {}
        for pid in pids.values():
            watches[pid] = LeakWatch(lens, pid)
            stack.callback(watches[pid].close)
        end = time.monotonic() + seconds
        while True:
            for each in lens.origins()["processes"]:
                watches[each["pid"]].look(each)
            if time.monotonic() > end:
                break
            time.sleep(0.5)
        found = {name: watches[pid].report() for name, pid in pids.items()}
    # For whoever reads a failure.
    sys.stdout.write(report.text({"mode": "test", "processes": list(found.values())}))
    return found


def leaking(session: Session, pids: dict[str, int]) -> Found:
    """Watch programs that leak until that is seen of each, once more and longer if need be.

    On a machine with much else to do they leak at an uneven pace.
    """
    found = watched(session, pids)
    if all(each["verdict"] == "leak suspected" for each in found.values()):
        return found
    return watched(session, pids, 5 * SECONDS)


def functions(row: dict[str, Any]) -> list[str]:
    """Names of the functions of a stack, innermost first; Python's if there are some."""
    return [each["function"] for each in row["python"] or row["frames"]]


def check_sums(found: dict[str, Any]) -> None:
    """What was opened is closed or open, in each row and in all."""
    for row in found["stacks"]:
        assert row["opened"] == row["closed"] + row["open"]
        assert row["closed"] >= 0
    assert found["opened"] == sum(row["opened"] for row in found["stacks"])


def test_leaks_of_c(session: Session, start: Start) -> None:
    """All of them, with the function that leaks: without frame pointers, threads too."""
    pids = {name: start(programs.BUILT / "leaks", name) for name in OF_C}
    for name, found in leaking(session, pids).items():
        check_sums(found)
        assert found["verdict"] == "leak suspected", name
        top = found["stacks"][0]
        assert top["verdict"] == "leak suspected", name
        assert FUNCTION.get(name, f"leak_{name}") in functions(top), name
        # Not of a thread, and not where the stack is deeper than what is read of it.
        assert "main" in functions(top) or name in ("threads", "deep_stack"), name
        assert found["seconds_to_limit"] > 0, name
        assert top["growth_per_hour"] > 2 * 3600, name
    assert len(pids) == len(OF_C)


def test_healthy_programs(session: Session, start: Start) -> None:
    """Pools that fill, files that others replace, thousands that are closed: no leak claimed."""
    pids = {name: start(programs.BUILT / "leaks", name) for name in HEALTHY}
    time.sleep(0.5)
    for name, found in watched(session, pids, 10.0).items():
        check_sums(found)
        assert found["verdict"] == "no leak seen", name
        assert not found["growth_per_hour"], name


@pytest.mark.skipif(sys.version_info < (3, 11), reason="frames of this Python are not read")
def test_leaks_of_python(session: Session, start: Start, tmp_path: Path) -> None:
    """The line that leaks, from the frames of the interpreter."""
    if sys.version_info >= (3, 14):
        pytest.skip("fdscope does not know the frames of this Python")
    pids = {}
    for name, body in OF_PYTHON.items():
        program = tmp_path / f"{name}.py"
        program.write_text(_LOOP.format(body=body))
        pids[name] = start(sys.executable, program)
    found = leaking(session, pids)
    for name, of in found.items():
        check_sums(of)
        assert of["verdict"] == "leak suspected", name
        top = of["stacks"][0]
        assert functions(top)[0] == INNER.get(name, "leak") or "socket" in functions(top)[0], name
        assert any(each["source"].startswith(f"{tmp_path}/{name}.py:") for each in top["python"])
        closed = [row for row in of["stacks"] if "serve" in functions(row)[0]]
        assert all(row["open"] <= 1 for row in closed), name
    (line,) = (each for each in found["list"]["stacks"][0]["python"] if each["function"] == "leak")
    assert line["source"] == f"{tmp_path}/list.py:5"


_GO = """
package main
import ("os"; "time")
var held []*os.File
//go:noinline
func leakOne(name string) { f, _ := os.Open(name); held = append(held, f) }
func main() { for { leakOne("/etc/passwd"); f, _ := os.Open("/etc/hostname"); f.Close()
    done := make(chan bool); go func() { leakOne("/etc/group"); done <- true }(); <-done
    time.Sleep(50 * time.Millisecond) } }
"""


@pytest.mark.skipif(not shutil.which("go"), reason="there is no Go compiler here")
@pytest.mark.parametrize("options", [(), ("-ldflags=-s -w",)], ids=["whole", "stripped"])
def test_leak_of_go(session: Session, start: Start, tmp_path: Path, options: Sequence[str]) -> None:
    (tmp_path / "leak.go").write_text(_GO)
    environment = {"GO111MODULE": "off", "HOME": "/root"} | os.environ
    command = ["go", "build", *options, "-o", "leak", "leak.go"]
    subprocess.run(command, cwd=tmp_path, check=True, env=environment)
    (found,) = leaking(session, {"go": start(tmp_path / "leak")}).values()
    check_sums(found)
    top = found["stacks"][:2]
    assert [row["verdict"] for row in top] == ["leak suspected"] * 2
    for row in top:
        (frame,) = (each for each in row["frames"] if each["function"] == "main.leakOne")
        assert frame["source"]
    assert {row["names"][0]["name"] for row in top} == {"/etc/passwd", "/etc/group"}


@pytest.mark.skipif(not shutil.which("node"), reason="there is no Node here")
def test_leak_of_node(session: Session, start: Start, tmp_path: Path) -> None:
    """By its perf map; without one a note says how to get it."""
    program = tmp_path / "leak.js"
    program.write_text(
        "const fs = require('fs'); const held = [];\n"
        "function readHeader(name) { held.push(fs.openSync(name)); }\n"
        "setInterval(() => readHeader('/etc/passwd'), 50);\n"
    )
    with_map = ("--perf-basic-prof", "--interpreted-frames-native-stack")
    pids = {
        "named": start("node", *with_map, program),
        "unnamed": start("node", program),
    }
    time.sleep(1)
    found = leaking(session, pids)
    Path(tempfile.gettempdir(), f"perf-{pids['named']}.map").unlink(missing_ok=True)
    for of in found.values():
        assert of["stacks"][0]["verdict"] == "leak suspected"
    names = functions(found["named"]["stacks"][0])
    assert any("readHeader" in (name or "") for name in names), names
    assert not found["named"]["notes"]
    assert any("--perf-basic-prof" in note for note in found["unnamed"]["notes"])


def test_the_end_of_the_process(session: Session, start: Start) -> None:
    """It ends while it is watched: what it had open at the last look is judged."""
    recorder = recorder_of(session)
    assert recorder
    lens = OwnLens(recorder, session.mode.value, "test")
    pid = start(programs.BUILT / "leaks", "eventfd")
    watch = LeakWatch(lens, pid)
    try:
        for _ in range(6):
            time.sleep(0.5)
            (found,) = lens.origins()["processes"]
            assert watch.look(found)
        os.kill(pid, 9)
        deadline = time.monotonic() + 30
        while watch.look(lens.origins()["processes"][0]):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        of = watch.report()
        assert of["ended"]
        assert of["verdict"] == "leak suspected"
        assert "leak_eventfd" in functions(of["stacks"][0])
    finally:
        watch.close()
        lens.close()
    nothing_is_watched(session)


def test_through_a_control_socket(control: Path, session: Session, start: Start) -> None:
    """The command as a user runs it; afterwards nothing is left in the maps."""
    pid = start(programs.BUILT / "leaks", "error_path")
    done = fdscope("leaks", f"--control={control}", "--seconds=4", str(pid))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"leaks (pid {pid}): leak suspected in ")
    assert "leak_error_path" in done.stdout
    done = fdscope("leaks", f"--control={control}", "--seconds=2", "--json", str(pid))
    (process,) = json.loads(done.stdout)["processes"]
    assert process["pid"] == pid
    nothing_is_watched(session)
    assert session.spotlight
    assert not session.spotlight.origins()


def test_only_root_sees_stacks(control: Path, start: Start) -> None:
    """They are memory of the process: the group of the socket is not enough."""
    pid = start(programs.BUILT / "leaks", "error_path")
    program = (
        "import os, socket, sys\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); f = s.makefile('rw')\n"
        "def ask(line): f.write(line + '\\n'); f.flush(); return f.readline()\n"
        "ask(sys.argv[2])\n"
        'print(ask(\'{"do":"watch origins","pid":%s,"depth":"tells","python":null}\''
        " % sys.argv[3]))\n"
        'print(ask(\'{"do":"origins"}\'))\n'
    )
    hello = json.dumps(protocol.greeting(version()))
    done = subprocess.run(
        ["/usr/bin/python3", "-c", program, control, hello, str(pid)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "only root" in done.stdout
    assert "sample" not in done.stdout


def test_odd_requests(control: Path) -> None:
    """They are answered, and the next one too."""
    lens = RemoteLens(str(control), version())
    try:
        for python in ("x", {"threads": 1}, [1], {"threads": "x"}):
            with pytest.raises(ControlError):
                lens._ask({"do": "watch origins", "pid": 1, "depth": "tells", "python": python})
        with pytest.raises(ControlError):
            lens._ask({"do": "watch origins", "pid": 1, "depth": "odd", "python": None})
        assert lens.origins()["processes"] == []
    finally:
        lens.close()


def test_wrong_usage(control: Path) -> None:
    for arguments, status in (((), 2), (("0",), 1), (("no-such-name",), 1)):
        done = fdscope("leaks", f"--control={control}", *arguments)
        assert done.returncode == status
        assert len(done.stderr.splitlines()) == 1
    assert fdscope("leaks", "--seconds=0", "1").returncode == 2
