# SPDX-License-Identifier: GPL-2.0-only
# ruff: noqa: T201 - it prints for a person
"""``make run``: the exporter and a Prometheus that scrapes it, until Ctrl-C or SIGTERM.

FDSCOPE_PORT, PROMETHEUS_PORT, ALERTMANAGER_PORT and GRAFANA_PORT in the environment change the
ports, GRAFANA_HOME the folder of Grafana, FDSCOPE_DATA that of the data; FDSCOPE_GRAFANA=no does
without Grafana.
"""

import fcntl
import http.client
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import alerting
import data
import grafana_server
from announce import announce
from children import Children, RunError, say
from ports import (
    EXPORTER_PORT,
    alertmanager_port,
    exporter_port,
    grafana_port,
    prometheus_port,
)

DEPLOY = Path(__file__).resolve().parents[1]
CHECKOUT = DEPLOY.parent
DATA = Path(os.environ.get("FDSCOPE_DATA") or CHECKOUT / "data").absolute()
FDSCOPE = CHECKOUT / ".venv/bin/fdscope"

LOCK_SECONDS, COMPILE_SECONDS, PROMETHEUS_SECONDS, GRAFANA_SECONDS = 5, 240, 120, 180
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest(Exception):  # noqa: N818 - not an error
    """The user wants to stop."""


def request_stop(number: int, _frame: object) -> None:
    """Signal handler: the first signal stops the run, further ones are ignored."""
    ignore_signals()
    raise StopRequest(signal.Signals(number).name)


def ignore_signals() -> None:
    """Ignore further signals."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def only_run() -> Iterator[int]:
    """Hold the lock of this checkout; the children inherit it, so it is held while they run."""
    data.prepare(DATA, CHECKOUT)
    with os.fdopen(data.create(DATA / "run.lock", os.O_RDWR | os.O_APPEND), "a+") as lock:
        for _ in range(10 * LOCK_SECONDS):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.1)
        else:
            lock.seek(0)
            raise RunError(
                f"another `make run` uses {DATA} (process {lock.read().strip()}):"
                " stop it first, with Ctrl-C there or kill"
            )
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield lock.fileno()


def get(port: int, path: str) -> bytes | None:
    """Fetch the body of a page with status 200; None if there is no such answer (yet)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.read() if response.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def is_scraped(port: int) -> bool:
    """Return True if Prometheus has scraped the exporter."""
    targets = json.loads(get(port, "/api/v1/targets?state=active") or "{}").get("data", {})
    return any(target["health"] == "up" for target in targets.get("activeTargets", ()))


def prometheus_command(
    program: str, exporter: int, port: int, alertmanager: int | None
) -> list[str]:
    """Write the configuration of Prometheus for these ports; return its command line."""
    delivered = (DEPLOY / "prometheus/prometheus.yml").read_text()
    text = alerting.prometheus_config(delivered, alertmanager)
    text = text.replace(f"127.0.0.1:{EXPORTER_PORT}", f"127.0.0.1:{exporter}")
    config = DATA / "prometheus.yml"
    with os.fdopen(data.create(config), "w") as file:
        file.write(text.replace("- rules/", f"- {DEPLOY}/rules/"))
    return [
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={DATA / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]


def start_alertmanager(children: Children) -> int | None:
    """Start an Alertmanager if one is installed; return its port."""
    program = alerting.program()
    if program is None:
        say(
            "no Alertmanager is installed: alerts show in Prometheus only"
            " (apt-get install prometheus-alertmanager brings one)"
        )
        return None
    port = alertmanager_port()
    say("starting Alertmanager")
    command = alerting.command(program, port, DEPLOY, DATA)
    log = DATA / "alertmanager.log"
    children.start("alertmanager", command, log, data.create(log))
    children.wait_until(
        lambda: get(port, "/-/ready") is not None, PROMETHEUS_SECONDS, "Alertmanager"
    )
    return port


def start_grafana(children: Children, prometheus: int) -> int | None:
    """Start a Grafana with the dashboards if one is installed; return its port."""
    if os.environ.get("FDSCOPE_GRAFANA") == "no":
        say(grafana_server.UNWANTED)
        return None
    found = grafana_server.program()
    if found is None:
        say(grafana_server.MISSING)
        return None
    port = grafana_port()
    say("starting Grafana")
    command = grafana_server.command(*found, port, prometheus, DATA)
    log = DATA / "grafana.log"
    children.start("grafana", command, log, data.create(log))
    children.wait_until(lambda: get(port, "/api/health") is not None, GRAFANA_SECONDS, "Grafana")
    return port


def run() -> None:
    """Start all, wait until they work, watch them; ends only by an exception."""
    program = shutil.which("prometheus")
    if os.geteuid() != 0:
        raise RunError("not root: BPF programs need it. Start it again with: sudo make run")
    if program is None or not FDSCOPE.exists():
        raise RunError("prometheus or .venv/bin/fdscope is missing: deploy/setup/setup.sh run")
    with only_run() as lock:
        exporter, prometheus = exporter_port(), prometheus_port()
        children = Children(lock)
        try:
            say("starting the exporter: compiling the probes takes some seconds")
            address = f"127.0.0.1:{exporter}"
            # The page shows its details to every user of this machine: see announce().
            command = [str(FDSCOPE), "exporter", f"--web.listen-address={address}", "--web.details"]
            children.start("fdscope", command)
            ready = "/-/ready"
            children.wait_until(
                lambda: get(exporter, ready) is not None, COMPILE_SECONDS, "the exporter"
            )
            alertmanager = start_alertmanager(children)
            say("starting Prometheus")
            command = prometheus_command(program, exporter, prometheus, alertmanager)
            log = DATA / "prometheus.log"
            children.start("prometheus", command, log, data.create(log))
            children.wait_until(lambda: is_scraped(prometheus), PROMETHEUS_SECONDS, "Prometheus")
            grafana = start_grafana(children, prometheus)
            announce(DATA, exporter, prometheus, alertmanager, grafana)
            while True:
                children.check()
                time.sleep(0.5)
        finally:
            ignore_signals()
            children.stop()


def main() -> int:
    """Run; the exit status is 0 if the user stopped it, else 1."""
    for number in SIGNALS:
        signal.signal(number, request_stop)
    try:
        run()
    except StopRequest as stop:
        say(f"{stop}: all programs have stopped, nothing is attached any more")
    except RunError as error:
        print(f"make run: error: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
