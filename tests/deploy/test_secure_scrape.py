# SPDX-License-Identifier: GPL-2.0-only
"""A real Prometheus scrapes over TLS, with a client certificate and a password."""

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from tests.exporter.serving import FakeCollector, running
from tests.exporter.web_config.certificates import authority

PROMETHEUS = shutil.which("prometheus")
pytestmark = pytest.mark.skipif(PROMETHEUS is None, reason="no prometheus: `make test` installs it")

WEB = """\
tls_server_config:
  cert_file: server.pem
  key_file: server.key
  client_ca_file: authority.pem
  client_auth_type: RequireAndVerifyClientCert
  client_allowed_sans: [prometheus.example]
basic_auth_users:
  scraper: {hash}
"""
JOB = """\
  - job_name: {name}
    scheme: https
    basic_auth: {{username: scraper, password: {password}}}
    tls_config: {{ca_file: authority.pem, cert_file: {client}.pem, key_file: {client}.key}}
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@contextlib.contextmanager
def prometheus(folder: Path, jobs: str) -> Iterator[int]:
    """Run a Prometheus with these jobs; its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    config = folder / "prometheus.yml"
    config.write_text(f"global: {{scrape_interval: 1s}}\nscrape_configs:\n{jobs}")
    command = [
        str(PROMETHEUS), f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            yield port
        finally:
            process.terminate()


def targets(port: int) -> dict[str, Any]:
    """Job to its target, once it was scraped and answered within its second."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/api/v1/targets?state=active")
        active = json.loads(connection.getresponse().read())["data"]["activeTargets"]
    except (OSError, ValueError):  # not ready yet: no answer, or one that is no JSON
        return {}
    finally:
        connection.close()
    return {
        target["scrapePool"]: target
        for target in active
        if target["health"] != "unknown" and "deadline exceeded" not in target["lastError"]
    }


def test_prometheus_scrapes_over_mutual_tls_with_a_password(tmp_path: Path) -> None:
    issuer = authority(tmp_path)
    issuer.issue("server")
    issuer.issue("client", "DNS:prometheus.example")
    issuer.issue("other", "DNS:other.example")
    authority(tmp_path, "stranger")
    web_config = tmp_path / "web.yml"
    web_config.write_text(WEB.format(hash=bcrypt.hashpw(b"right", bcrypt.gensalt(10)).decode()))
    with running(FakeCollector(), web_config) as web:
        jobs = {
            "good": ("right", "client"), "password": ("wrong", "client"),
            "name": ("right", "other"), "certificate": ("right", "stranger"),
        }  # fmt: skip
        text = "".join(
            JOB.format(name=name, password=password, client=client, port=web.port)
            for name, (password, client) in jobs.items()
        )
        with prometheus(tmp_path, text) as port:
            deadline = time.monotonic() + 60
            while len(found := targets(port)) < len(jobs):
                assert time.monotonic() < deadline, (tmp_path / "log").read_text()
                time.sleep(0.2)
    assert {name: target["health"] for name, target in found.items()} == {
        "good": "up", "password": "down", "name": "down", "certificate": "down",
    }  # fmt: skip
    assert "401" in found["password"]["lastError"]
    assert "403" in found["name"]["lastError"]
    assert "tls" in found["certificate"]["lastError"]
