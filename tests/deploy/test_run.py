# SPDX-License-Identifier: GPL-2.0-only
"""``make run`` for real: the exporter, a Prometheus that scrapes it, and their stop."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fdscope.probes.selftest.cases import SIZE, TIMES
from tests.paths import ROOT as CHECKOUT

SCRIPT = CHECKOUT / "deploy/run/run.py"
PYTHON = CHECKOUT / ".venv/bin/python"
START_SECONDS = 180
SCRAPES_SECONDS = 30

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(
        shutil.which("prometheus") is None or not PYTHON.with_name("fdscope").exists(),
        reason="no prometheus or no .venv/bin/fdscope here: `make test` installs both",
    ),
]


@dataclass(frozen=True, slots=True)
class Run:
    """A started ``deploy/run/run.py`` and what it prints."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text()

    @property
    def prometheus(self) -> int:
        return int(re.findall(r"Prometheus  http://127.0.0.1:(\d+)", self.output)[0])

    def metrics(self) -> bytes:
        """The metrics, as Prometheus gets them."""
        (port,) = re.findall(r"metrics     http://127.0.0.1:(\d+)/metrics", self.output)
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=10)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read()
        connection.close()
        return text

    def children(self) -> dict[str, int]:
        """Name to pid."""
        pids = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return {Path(f"/proc/{pid}/comm").read_text().strip(): int(pid) for pid in pids.split()}

    def up(self) -> "Run":
        """Wait until it has printed the addresses."""
        wait_for(lambda: "Ctrl-C ends" in self.output or self.process.poll() is not None)
        assert self.process.poll() is None, self.output
        return self

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


Start = Callable[..., Run]


def wait_for(condition: Callable[[], object], seconds: float = START_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the script with free ports and a new data folder; stop it at the end."""
    runs: list[Run] = []
    names = ("FDSCOPE_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT", "GRAFANA_PORT")
    ports = {name: str(free_port()) for name in names}

    def start_one(**changes: str) -> Run:
        log = tmp_path / f"log{len(runs)}"
        environment = {**os.environ, **ports, "FDSCOPE_DATA": str(tmp_path / "data"), **changes}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [PYTHON, SCRIPT],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        runs.append(Run(process, log))
        return runs[-1]

    yield start_one
    for run in runs:
        with suppress(subprocess.TimeoutExpired):
            run.end()
        run.process.kill()
        run.process.wait()


def query(port: int, expression: str) -> list[dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", f"/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
    answer = json.loads(connection.getresponse().read())
    connection.close()
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def rule_groups(port: int) -> set[str]:
    """Names of the groups of rules that Prometheus evaluates."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/api/v1/rules")
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return {group["name"] for group in answer["data"]["groups"]}


def program_ids(pid: int) -> set[int]:
    """Ids of the BPF programs that a process holds or has attached."""
    ids: set[int] = set()
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        with suppress(FileNotFoundError):
            ids |= {int(number) for number in re.findall(r"prog_id:\s*(\d+)", info.read_text())}
    return ids


def loaded_program_ids() -> set[int]:
    command = ["bpftool", "--json", "prog", "list"]
    listing = subprocess.run(command, capture_output=True, check=True).stdout
    return {program["id"] for program in json.loads(listing)}


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_real_processes_by_name_and_another_run_is_refused(start: Start) -> None:
    run = start().up()
    ups = query(run.prometheus, 'up{job="fdscope"}')
    assert [sample["value"][1] for sample in ups] == ["1"]
    by_name = "sum by (process, fd_type) (fdscope_file_read_bytes_total) > 0"
    name = Path("/proc/self/comm").read_text().strip()
    parts = ({"process": name, "fd_type": "regular"}, {"process": "prometheus", "fd_type": "tcp"})

    def seen() -> bool:
        SCRIPT.read_bytes()
        labels = [sample["metric"] for sample in query(run.prometheus, by_name)]
        return all(part in labels for part in parts)

    wait_for(seen, SCRAPES_SECONDS)
    assert "fdscope-events" in rule_groups(run.prometheus)
    checked = subprocess.run(["promtool", "check", "metrics"], input=run.metrics(), check=False)
    assert checked.returncode == 0, "promtool: see its message above"
    second = start()
    assert second.process.wait(30) == 1
    assert f"(process {run.process.pid})" in second.output


KNOWN_BYTES = """
import ctypes
from fdscope.probes.selftest.cases import read_write, send_recv, vectored
from fdscope.probes.schema.taxonomy import FdType
ctypes.CDLL(None).prctl(15, b"known-bytes")
for fd_type in (FdType.REGULAR, FdType.FIFO, FdType.TCP, FdType.UNIX_STREAM):
    read_write(fd_type)
    vectored(fd_type)
for fd_type in (FdType.TCP, FdType.UNIX_STREAM):
    send_recv(fd_type)
"""


def test_known_bytes_reach_prometheus_exactly(start: Start) -> None:
    run = start().up()
    subprocess.run([PYTHON, "-c", KNOWN_BYTES], check=True, cwd=CHECKOUT)
    each = TIMES * SIZE

    def found(metric: str, by: str) -> dict[tuple[str, ...], int]:
        expression = f'sum by ({by}) (fdscope_{metric}_bytes_total{{process="known-bytes"}})'
        samples = query(run.prometheus, expression)
        return {
            tuple(sample["metric"][name] for name in by.split(",")): int(sample["value"][1])
            for sample in samples
        }

    wait_for(lambda: found("file_written", "fd_type,door"), SCRAPES_SECONDS)
    types, sockets = ("regular", "fifo", "tcp", "unix_stream"), ("tcp", "unix_stream")
    expected = {(kind, door): each for kind in types for door in ("read_write", "vectored")}
    expected |= {(kind, "socket_call"): each for kind in sockets}
    assert found("file_written", "fd_type,door") == expected
    read = found("file_read", "fd_type,door")
    # Python's own start lists directories and reads regular files too.
    read.pop(("directory", "directory_call"), None)
    assert read.pop(("regular", "read_write")) > each
    assert read == {key: each for key in expected if key != ("regular", "read_write")}
    for metric in ("socket_sent", "socket_received"):
        assert found(metric, "fd_type") == {(kind,): 3 * each for kind in sockets}


@pytest.mark.skipif(shutil.which("bpftool") is None, reason="no bpftool for this kernel")
def test_end_detaches_all_and_a_second_run_works(start: Start) -> None:
    first = start().up()
    children = first.children()
    assert {"fdscope", "prometheus"} <= set(children)
    programs = program_ids(children["fdscope"])
    assert programs
    assert programs <= loaded_program_ids()
    assert first.end(signal.SIGTERM) == 0
    assert not any(map(is_running, children.values()))
    wait_for(lambda: not programs & loaded_program_ids(), 10)
    assert start().up().end(signal.SIGINT) == 0


def test_killed_run_takes_its_children_along(start: Start) -> None:
    run = start().up()
    children = run.children()
    run.end(signal.SIGKILL)
    wait_for(lambda: not any(map(is_running, children.values())), 15)


@pytest.mark.parametrize("name", ["fdscope", "prometheus"])
def test_one_that_dies_ends_the_other(start: Start, name: str) -> None:
    run = start().up()
    children = run.children()
    os.kill(children[name], signal.SIGKILL)
    assert run.process.wait(30) == 1
    assert f"{name} ended by itself by SIGKILL" in run.output
    assert not any(map(is_running, children.values()))


def test_busy_ports(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        refused = start(FDSCOPE_PORT=str(port))
        assert refused.process.wait(30) == 1
        assert f"port {port}, the exporter's, is held by" in refused.output
        run = start(PROMETHEUS_PORT=str(port)).up()
        assert run.prometheus > port
        assert f"port {port} is held by" in run.output
