# SPDX-License-Identifier: GPL-2.0-only
"""A real exporter, Prometheus and Alertmanager on loopback, with the rules of short windows.

The exporter counts the whole machine. Prometheus keeps only the series of this process and its
children, by their unit: alerts on other processes are true and do not concern the tests.
"""

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fdscope.dashboards.alerting.command import files
from tests import ours
from tests.paths import ROOT

SHORT = Path(__file__).with_name("short.toml")
START_SECONDS = 180
SCRAPE_SECONDS = 3
ROOM = (
    "--probe.counter-entries=262144",
    "--probe.process-entries=65536",
    "--process.max-series=20000",
)
"""Large enough that other processes of the machine cannot fill the maps, or take all series."""


def wait_for(condition: Callable[[], object], seconds: float, state: Callable[[], str]) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not after {seconds:.0f} s: {state()}"
        time.sleep(0.2)


def free_ports(count: int) -> list[int]:
    """Free ports below the kernel's ephemeral range: no connection can take one meanwhile."""
    held: list[socket.socket] = []
    for port in range(21600, 21700):
        with suppress(OSError):
            held.append(socket.create_server(("127.0.0.1", port)))
        if len(held) == count:
            break
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    assert len(ports) == count, "all ports from 21600 to 21699 are held"
    return ports


def get(port: int, path: str) -> bytes | None:
    """The body of a page with status 200; None if there is none (yet)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.read() if response.status == 200 else None
    except OSError:
        return None
    finally:
        connection.close()


@dataclass
class Stack:
    """The three programs, and the alerts that were seen."""

    folder: Path
    unit: str
    """Relabelling that drops processes of other units; empty: none."""
    exporter: int
    prometheus: int
    alertmanager: int
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    arrived: list[dict[str, Any]] = field(default_factory=list)
    """Alerts that the Alertmanager has returned so far."""

    def ask(self) -> list[dict[str, Any]]:
        """The firing alerts of the Alertmanager."""
        body = get(self.alertmanager, "/api/v2/alerts?active=true&inhibited=true")
        found: list[dict[str, Any]] = json.loads(body or "[]")
        self.arrived += found
        return found

    def missing(self, wanted: Mapping[str, dict[str, str]]) -> list[str]:
        """Names of those alerts that have not yet reached the Alertmanager with such labels."""
        self.ask()
        return [
            name
            for name, labels in wanted.items()
            if not any(
                {"alertname": name, **labels}.items() <= alert["labels"].items()
                for alert in self.arrived
            )
        ]

    def wait_for(self, wanted: Mapping[str, dict[str, str]], seconds: float) -> None:
        """Wait until all of them have reached the Alertmanager."""
        wait_for(lambda: not self.missing(wanted), seconds, lambda: f"{self.missing(wanted)}")

    def ever(self) -> set[tuple[str, str, str]]:
        """(name, severity, process) of all alerts that Prometheus has ever fired."""
        fired = 'max_over_time(ALERTS{alertstate="firing"}[30m])'
        query = urlencode({"query": f"count by (alertname, severity, process) ({fired})"})
        answer = json.loads(get(self.prometheus, f"/api/v1/query?{query}") or b"")
        return {
            (m["alertname"], m["severity"], m.get("process", ""))
            for m in (sample["metric"] for sample in answer["data"]["result"])
        }

    def scrapes(self) -> int:
        """Scrapes that have succeeded."""
        query = urlencode({"query": "sum(sum_over_time(up[1h]))"})
        answer = json.loads(get(self.prometheus, f"/api/v1/query?{query}") or b"{}")
        found = answer.get("data", {}).get("result", [])
        return int(found[0]["value"][1]) if found else 0

    def settle(self, seconds: float) -> None:
        """Wait until Prometheus has scraped for so many seconds, from now or from its start."""
        wanted = self.scrapes() + seconds / SCRAPE_SECONDS
        wait_for(
            lambda: self.scrapes() >= wanted,
            10 * seconds + 60,
            lambda: f"{self.scrapes()} of {wanted:.0f} scrapes",
        )

    def end(self, name: str) -> None:
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        process.kill()
        process.wait()

    def start(self, name: str, command: list[str | Path], port: int, ready: str) -> None:
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            self.running[name] = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        wait_for(
            lambda: get(port, ready) is not None or self.running[name].poll() is not None,
            START_SECONDS,
            lambda: f"{name} is not ready",
        )
        assert self.running[name].poll() is None, log.read_text()


def _configure(stack: Stack) -> None:
    (stack.folder / "rules.yml").write_text(files(SHORT)["rules/fdscope.yml"])
    config = {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": "2s"},
        "rule_files": ["rules.yml"],
        "alerting": {
            "alertmanagers": [
                {"static_configs": [{"targets": [f"127.0.0.1:{stack.alertmanager}"]}]}
            ]
        },
        "scrape_configs": [
            {
                "job_name": "fdscope",
                "static_configs": [{"targets": [f"127.0.0.1:{stack.exporter}"]}],
                "metric_relabel_configs": ours.relabelling(stack.unit),
            }
        ],
    }
    (stack.folder / "prometheus.json").write_text(json.dumps(config))


@contextmanager
def running(folder: Path) -> Iterator[Stack]:
    """Start all three; they stop at the end of the block."""
    with ours.own_unit() as unit:
        yield from _running(folder, unit)


def _running(folder: Path, unit: str) -> Iterator[Stack]:
    exporter, prometheus, alertmanager = free_ports(3)
    stack = Stack(folder, unit, exporter, prometheus, alertmanager)
    _configure(stack)
    listen = "--web.listen-address=127.0.0.1"
    try:
        stack.start(
            "alertmanager",
            [
                "prometheus-alertmanager",
                f"--config.file={ROOT / 'deploy/prometheus/alertmanager.yml'}",
                f"--storage.path={folder / 'alertmanager'}",
                f"{listen}:{stack.alertmanager}",
                "--cluster.listen-address=",
            ],
            stack.alertmanager,
            "/-/ready",
        )
        stack.start(
            "exporter",
            [
                sys.executable,
                "-m",
                "fdscope",
                "exporter",
                *ROOM,
                f"{listen}:{stack.exporter}",
            ],
            stack.exporter,
            "/-/ready",
        )
        stack.start(
            "prometheus",
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.json'}",
                f"--storage.tsdb.path={folder / 'prometheus'}",
                f"{listen}:{stack.prometheus}",
                "--rules.alert.resend-delay=1s",
            ],
            stack.prometheus,
            "/-/ready",
        )
        yield stack
    finally:
        for name in reversed([*stack.running]):
            stack.end(name)
