# SPDX-License-Identifier: GPL-2.0-only
"""From the running kernel to the Alertmanager, with windows of seconds instead of hours."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.alerts import healthy
from tests.alerts.stack import Stack, free_ports, running
from tests.paths import ROOT

pytestmark = pytest.mark.kernel

SETTLE_SECONDS = 55
"""History enough for every comparison of short.toml: a day, an hour and more."""
ALERT_SECONDS = 240
"""For a busy machine; without load, alerts fire after some 20 seconds."""

Process = subprocess.Popen[bytes]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("stack")) as started:
        yield started


@contextmanager
def workload(name: str, *arguments: str | Path) -> Iterator[Process]:
    command = [sys.executable, "-m", "tests.alerts.workloads", name, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def spiker(stack: Stack) -> Iterator[Process]:
    """A process that runs from the start, and writes little."""
    (stack.folder / "spiked").touch()
    with workload("spiker", stack.folder / "spiked", stack.folder / "go") as process:
        yield process


def test_a_quiet_host_fires_nothing(stack: Stack, spiker: Process) -> None:
    stack.settle(SETTLE_SECONDS)
    assert spiker.poll() is None
    assert not stack.ever()
    assert not stack.ask()


def test_a_busy_and_healthy_host_fires_nothing_above_info(stack: Stack, spiker: Process) -> None:
    (port,) = free_ports(1)
    folder = stack.folder / "busy"
    folder.mkdir()
    works = [
        threading.Thread(target=healthy.build, args=(folder / "build",)),
        threading.Thread(target=healthy.install, args=(folder / "package",)),
    ]
    for work in works:
        work.start()
    assert healthy.serve(folder / "www", port, 20) > 100
    for work in works:
        work.join()
    assert (folder / "build/program").exists()
    assert (folder / "package/root/opt/fdscope-test/0/0").exists()
    stack.settle(6)
    assert spiker.poll() is None
    assert not [alert for alert in stack.ever() if alert[1] != "info"]


@pytest.mark.usefixtures("spiker")
def test_each_unusual_thing_reaches_the_alertmanager(stack: Stack) -> None:
    (stack.folder / "go").touch()
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        workload("leaker") as leaker,
        workload("gusher"),
        workload("recurrent"),
        workload("sniffer") as sniffer,
        workload("shell", str(listener.getsockname()[1])) as shell,
    ):
        with listener.accept()[0]:
            stack.wait_for(
                {
                    "FdscopePacketSocketOpened": {"process": "sniffer", "severity": "warning"},
                    "FdscopeShellStdioBecameSocket": {"process": "sh", "severity": "critical"},
                    "FdscopeShellStdioIsSocket": {"process": "sh", "pid": str(shell.pid)},
                    "FdscopeIoSpike": {"process": "spiker", "direction": "written"},
                    "FdscopeFdLeak": {"process": "leaker", "pid": str(leaker.pid)},
                    "FdscopeFdLimitSoon": {"process": "leaker", "pid": str(leaker.pid)},
                    "FdscopeFdRefused": {"process": "gusher", "errno": "EMFILE"},
                    "FdscopeFdLeakRestarts": {"process": "recurrent", "severity": "warning"},
                },
                ALERT_SECONDS,
            )
        assert sniffer.wait(20) == 0
    for alert in stack.arrived:
        assert "<" not in alert["annotations"]["description"], "a template has failed"


def test_a_stopped_exporter_reaches_the_alertmanager(stack: Stack) -> None:
    stack.end("exporter")
    stack.wait_for({"FdscopeExporterDown": {"severity": "critical"}}, ALERT_SECONDS)
