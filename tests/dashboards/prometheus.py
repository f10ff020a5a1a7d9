# SPDX-License-Identifier: GPL-2.0-only
"""A real Prometheus that scrapes one exporter, and Grafana's queries to it."""

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

SCRAPE_SECONDS = 5
_READY_SECONDS = 120
_VARIABLES = {
    "__rate_interval": "60s",
    "__rate_interval_ms": "60000",
    "__range": "180s",
    "__interval": "5s",
}


def filled_in(expression: str, **values: str) -> str:
    """Replace Grafana's variables: by all values, unless given."""
    variables = _VARIABLES | values
    return re.sub(r"\$(\w+)\b(?!\.\*)", lambda m: _value(m, variables), expression)


def _value(match: re.Match[str], variables: dict[str, str]) -> str:
    name = match.group(1)
    return match.group(0) if name.isdigit() else variables.get(name, ".*")


def free_port() -> int:
    """A free port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def get(port: int, path: str, **parameters: object) -> Any:
    """Query Prometheus; AssertionError with its message if it refuses."""
    query = urllib.parse.urlencode(parameters)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}?{query}", timeout=30) as page:
            return json.load(page)["data"]
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.SERVICE_UNAVAILABLE:  # it is starting; its body is no JSON
            raise
        raise AssertionError(json.load(error)["error"]) from error


def instant(port: int, expression: str, at: float | None = None) -> Any:
    """Instant query at a Unix time, or now: the data of the answer."""
    moment = {} if at is None else {"time": at}
    return get(port, "/api/v1/query", query=expression, **moment)


@contextmanager
def prometheus(exporter_port: int, folder: Path) -> Iterator[int]:
    """Run it; yields its port."""
    program = shutil.which("prometheus")
    assert program, "prometheus is not installed: make test"
    port, config = free_port(), folder / "prometheus.yml"
    config.write_text(
        f"global: {{scrape_interval: {SCRAPE_SECONDS}s}}\n"
        "scrape_configs:\n- job_name: fdscope\n  static_configs:\n"
        f"  - targets: ['127.0.0.1:{exporter_port}']\n"
    )
    command = [
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + _READY_SECONDS
        while not _is_scraping(port):
            assert process.poll() is None, (folder / "prometheus.log").read_text()
            assert time.monotonic() < deadline, "Prometheus did not scrape the exporter"
            time.sleep(0.3)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _is_scraping(port: int) -> bool:
    try:
        return bool(instant(port, "up == 1")["result"])
    except OSError:
        return False
