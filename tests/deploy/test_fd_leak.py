# SPDX-License-Identifier: GPL-2.0-only
"""A leak of descriptors, as seen in a real Prometheus."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, start_http_server

from fdscope.exporter.collector import Collector
from fdscope.probes.attach.settings import Settings
from fdscope.probes.kernel.preemption import best_first
from fdscope.probes.read.session import Session, attach

LEAKED = 60
PAUSE = 0.4
WAIT_SECONDS = 120

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(
        shutil.which("prometheus") is None, reason="no prometheus here: `make test` installs it"
    ),
]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def exporter(session: Session, port: int) -> Iterator[None]:
    collector = Collector(session, "", 1000)
    registry = CollectorRegistry()
    registry.register(collector)
    server, thread = start_http_server(port, "127.0.0.1", registry)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        collector.close()


@contextmanager
def prometheus(target: int, directory: Path) -> Iterator[int]:
    """Scrapes the target every second; its port."""
    port = free_port()
    job = {"job_name": "fdscope", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
    settings = {"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}
    configuration = directory / "prometheus.yml"
    configuration.write_text(json.dumps(settings))
    command = [
        "prometheus", f"--config.file={configuration}", f"--storage.tsdb.path={directory}/data",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
    ]  # fmt: skip
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        running.terminate()
        running.wait()


@contextmanager
def leak() -> Iterator[int]:
    """A process that opens event fds and never closes them, then waits; its pid."""
    pid = os.fork()
    if pid == 0:
        for _ in range(LEAKED):
            os.eventfd(0)
            time.sleep(PAUSE)
        signal.pause()
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def value(port: int, expression: str) -> float | None:
    """The one sample that an instant query finds; None if there is none yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", f"/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
        found = json.loads(connection.getresponse().read())["data"]["result"]
    except (OSError, ValueError, KeyError):
        return None
    finally:
        connection.close()
    return float(found[0]["value"][1]) if found else None


def wait_for(port: int, expression: str, expected: float) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    seen = None
    while time.monotonic() < deadline:
        seen = value(port, expression)
        if seen == expected:
            return
        time.sleep(1)
    pytest.fail(f"{expression} is {seen}, not {expected}")


def test_a_leak_is_a_slope(tmp_path: Path) -> None:
    session = attach(best_first(), Settings())
    target = free_port()
    try:
        with exporter(session, target), prometheus(target, tmp_path) as port, leak() as pid:
            leaking = f'fd_type="eventfd",pid="{pid}"'
            wait_for(port, f"fdscope_open_fds{{{leaking}}}", LEAKED)
            wait_for(port, f'fdscope_fds_opened_total{{{leaking},birth="anonymous"}}', LEAKED)
            slope = value(port, f"deriv(fdscope_open_fds{{{leaking}}}[1m])")
            assert slope is not None
            assert slope > 0
            others = f'fdscope_open_fds{{fd_type!="eventfd",pid="{pid}"}}'
            assert value(port, f"max(abs(deriv({others}[1m])))") == 0
            assert value(port, f"count(fdscope_fds_closed_total{{{leaking}}})") is None
    finally:
        session.close()
