# SPDX-License-Identifier: GPL-2.0-only
"""Hundreds of clients that take nothing keep no scrape and no health check out."""

import http.client
import os
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.exporter.web_config.certificates import authority
from tests.hostile.actors import STRANGER, end, rename, start
from tests.hostile.answers import Exporter
from tests.hostile.clients import PATHS, UNFINISHED, asking, crowd_of_strangers
from tests.scorecard.served import served

CROWD = 300
SECONDS = 15
SCRAPE_SECONDS = 1.0
"""An answer takes no longer, or no longer than thrice what it takes on this machine alone."""


def answers(exporter: Exporter, path: str, context: ssl.SSLContext | None = None) -> float:
    """Ask for a page on a connection of its own; seconds until it was there."""
    began = time.monotonic()
    client = (
        http.client.HTTPSConnection(*exporter.address, timeout=30, context=context)
        if context
        else http.client.HTTPConnection(*exporter.address, timeout=30)
    )
    client.request("GET", path)
    response = client.getresponse()
    response.read()
    client.close()
    assert response.status == 200, f"{path}: {response.status}"
    return time.monotonic() - began


@pytest.fixture
def limit(exporter: Exporter) -> float:
    """How long an answer may take, in seconds."""
    return max(SCRAPE_SECONDS, 3 * max(answers(exporter, "/metrics") for _ in range(3)))


def stays_reachable(
    exporter: Exporter, seconds: float, limit: float, context: ssl.SSLContext | None = None
) -> None:
    """Scrapes and health checks are answered at once, all the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert answers(exporter, "/-/healthy", context) < limit
        assert answers(exporter, "/metrics", context) < limit
        time.sleep(0.5)


@pytest.mark.parametrize("sources", [1, 50], ids=["one address", "fifty addresses"])
@pytest.mark.parametrize("paths", [*((path,) for path in PATHS), PATHS], ids=str)
def test_slow_readers(
    exporter: Exporter, paths: tuple[str, ...], sources: int, limit: float
) -> None:
    before = exporter.memory_mib()
    first = [asking(paths[number % len(paths)]) for number in range(CROWD)]
    with crowd_of_strangers(exporter.address, first, sources):
        stays_reachable(exporter, SECONDS if len(paths) > 1 else 4, limit)
        assert exporter.memory_mib() - before < 100
    stays_reachable(exporter, 1, limit)


def test_clients_that_never_finish_asking(exporter: Exporter, limit: float) -> None:
    with crowd_of_strangers(exporter.address, [UNFINISHED, b""] * CROWD):
        stays_reachable(exporter, SECONDS, limit)


def test_clients_that_come_again_and_again(exporter: Exporter, limit: float) -> None:
    """A crowd that is thrown out comes back at once."""

    def storm() -> None:
        rename(b"comes-again")
        while True:
            with crowd_of_strangers(exporter.address, [asking(PATHS[0])] * 100):
                time.sleep(0.2)

    pids = [start(storm, uid=STRANGER) for _ in range(2)]
    try:
        time.sleep(1)
        stays_reachable(exporter, SECONDS, limit)
    finally:
        for pid in pids:
            end(pid)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Exporter, ssl.SSLContext]]:
    folder = tmp_path_factory.mktemp("tls")
    issuer = authority(folder)
    issued = issuer.issue("server")
    config = folder / "web.yml"
    config.write_text(
        f"tls_server_config:\n  cert_file: {issued.certificate}\n  key_file: {issued.key}\n"
    )
    mode = os.environ.get("FDSCOPE_ATTACH_MODE", "auto")
    with served(mode, f"--web.config.file={config}") as running:
        yield Exporter.of(running), issuer.client()


HALF_OPEN: dict[str, bytes] = {
    "nothing": b"",
    "half a record": b"\x16\x03\x01\x02\x00\x01\x00",
    "plain HTTP": b"GET /metrics HTTP/1.1\r\n\r\n",
    "an endless record": b"\x16\x03\x01\xff\xff" + bytes(4096),
}


@pytest.mark.parametrize("first", HALF_OPEN.values(), ids=HALF_OPEN)
def test_half_open_tls(secured: tuple[Exporter, ssl.SSLContext], first: bytes) -> None:
    exporter, context = secured
    limit = max(SCRAPE_SECONDS, 3 * max(answers(exporter, "/metrics", context) for _ in range(3)))
    with crowd_of_strangers(exporter.address, [first] * CROWD):
        stays_reachable(exporter, SECONDS / 2, limit, context)


def test_descriptors_are_given_back(exporter: Exporter) -> None:
    """What the crowds opened is closed when they are gone."""
    fds = Path(f"/proc/{exporter.pid}/fd")

    def count() -> int:
        return len(list(fds.iterdir()))

    before = count()
    with crowd_of_strangers(exporter.address, [asking(PATHS[0])] * CROWD):
        answers(exporter, "/-/healthy")
    wait_until(lambda: count() <= before + 2, 30)


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)
