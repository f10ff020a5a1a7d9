# SPDX-License-Identifier: GPL-2.0-only
"""The HTTP server, on real sockets of the loopback interface."""

import asyncio
import contextlib
import gzip
import http.client
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain
from prometheus_client.registry import Collector

from exporter import config, server
from exporter.config import Address, Options
from exporter.server import BindError, PageData, Server

PAGE = PageData(
    version="1.2.3",
    mode="tracepoint",
    attachments=[
        {"function": "sys_exit", "layer": "file", "mode": "tracepoint", "state": "attached"},
        {"function": "<b>", "layer": "socket", "mode": "x", "state": "failed", "why": "a & b"},
    ],
    not_traced=["mmap: no operation", "<script>: evil"],
)


@dataclass(eq=False)
class FakeCollector(Collector):
    """One counter; can fail, wait for a gate, and be large by its help text."""

    error: Exception | None = None
    gate: threading.Event | None = None
    text: str = "Help."
    runs: int = 0
    together: int = 0
    most_together: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def collect(self) -> Iterator[Metric]:
        """The counter."""
        with self.lock:
            self.runs += 1
            self.together += 1
            self.most_together = max(self.together, self.most_together)
        try:
            if self.gate:
                self.gate.wait(10)
            if self.error:
                raise self.error
            yield CounterMetricFamily("fdscope_test_bytes", self.text, 1)
        finally:
            with self.lock:
                self.together -= 1


@dataclass
class Running:
    """A server in a thread of its own."""

    port: int
    collector: FakeCollector
    loop: asyncio.AbstractEventLoop
    server: Server
    reason: list[str | None]

    def request(
        self, path: str = "/metrics", method: str = "GET", body: bytes | None = None,
        **headers: str,
    ) -> tuple[int, http.client.HTTPMessage, bytes]:  # fmt: skip
        """(status, headers, body) of a request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.closing(connection):
            connection.request(method, path, body, named)
            response = connection.getresponse()
            return response.status, response.headers, response.read()

    def connect(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def stop(self, grace_seconds: float = 5.0) -> None:
        """Stop as a signal would."""
        stopping = self.server.stop(grace_seconds)
        asyncio.run_coroutine_threadsafe(stopping, self.loop).result(10)


def options(**changes: str) -> Options:
    return config.load(changes, {}, default_file=Path("/nonexistent"))


def wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@contextlib.contextmanager
def running(collector: FakeCollector) -> Iterator[Running]:
    """Serve ``collector`` on a free port."""
    sockets = server.bind([Address("127.0.0.1", 0)])
    registry = CollectorRegistry()
    registry.register(collector)
    reason: list[str | None] = [None]
    served = Server(options(), sockets, registry, lambda: PAGE, lambda: reason[0])
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(served.start(), loop).result(10)
        yield Running(sockets[0].getsockname()[1], collector, loop, served, reason)
        asyncio.run_coroutine_threadsafe(served.stop(1), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        server.release(sockets)


@pytest.fixture
def web() -> Iterator[Running]:
    with running(FakeCollector()) as started:
        yield started


def test_text_format_by_default(web: Running) -> None:
    status, headers, body = web.request()
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert [family.name for family in plain(body.decode())] == ["fdscope_test_bytes"]


def test_openmetrics_by_accept(web: Running) -> None:
    accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2"
    status, headers, body = web.request(Accept=accept)
    assert status == 200
    assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    parsed = openmetrics.text_string_to_metric_families(body.decode())  # type: ignore[no-untyped-call]
    assert [family.name for family in parsed] == ["fdscope_test_bytes"]
    assert body.endswith(b"# EOF\n")


@pytest.mark.parametrize("version", ["x", "1.x", "", "1;version=", "99999999999999999999"])
def test_nonsense_in_accept_is_answered(web: Running, version: str) -> None:
    accept = f"application/openmetrics-text;version={version},text/plain;version={version}"
    assert web.request(Accept=accept)[0] == 200


@pytest.mark.parametrize("accept", ["gzip", "deflate, gzip;q=1.0, *;q=0.5", "GZIP"])
def test_gzip_where_accepted(web: Running, accept: str) -> None:
    _, headers, body = web.request(Accept_Encoding=accept)
    assert headers["Content-Encoding"] == "gzip"
    assert b"fdscope_test_bytes_total" in gzip.decompress(body)


@pytest.mark.parametrize("accept", ["", "identity", "gzip;q=0", "gzip; q=0.0"])
def test_no_gzip_where_not_accepted(web: Running, accept: str) -> None:
    _, headers, body = web.request(Accept_Encoding=accept)
    assert "Content-Encoding" not in headers
    assert b"fdscope_test_bytes_total" in body


@pytest.mark.parametrize("path", ["/metrics", "/", "/-/healthy", "/-/ready"])
def test_head_has_the_headers_of_get(web: Running, path: str) -> None:
    _, expected, body = web.request(path)
    status, headers, nothing = web.request(path, "HEAD")
    assert (status, nothing) == (200, b"")
    assert headers["Content-Type"] == expected["Content-Type"]
    assert int(headers["Content-Length"]) == len(body)


def test_health_and_readiness(web: Running) -> None:
    assert web.request("/-/healthy")[::2] == (200, b"fdscope is healthy\n")
    assert web.request("/-/ready")[::2] == (200, b"fdscope is ready\n")
    web.reason[0] = "no scrape yet"
    assert web.request("/-/ready")[::2] == (503, b"fdscope is not ready: no scrape yet\n")
    assert web.request("/-/healthy")[0] == 200


def test_it_collects_once_by_itself(web: Running) -> None:
    wait_for(lambda: web.collector.runs == 1)


def test_landing_page(web: Running) -> None:
    status, headers, body = web.request("/")
    text = body.decode()
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    for expected in (
        'href="/metrics"', 'href="/-/healthy"', 'href="/-/ready"', "1.2.3", "1 of 2 hooks",
        "sys_exit", "a &amp; b", "&lt;b&gt;", "&lt;script&gt;", "no operation",
        "prefers-color-scheme: dark", "width=device-width",
    ):  # fmt: skip
        assert expected in text
    assert "<script" not in text
    assert not re.search(r"(src|href)=.?https?:", text)
    assert "$" not in text


@pytest.mark.parametrize("path", ["/nothing", "/metrics/", "/metricsx", "//", "/-/", "/%00"])
def test_unknown_path(web: Running, path: str) -> None:
    assert web.request(path)[::2] == (404, b"404 Not Found\n")


@pytest.mark.parametrize("path", ["/metrics", "/", "/nothing"])
def test_other_methods(web: Running, path: str) -> None:
    status, headers, body = web.request(path, "POST")
    assert (status, headers["Allow"], body) == (405, "GET, HEAD", b"405 Method Not Allowed\n")


@pytest.mark.parametrize("path", ["/metrics", "/", "/-/ready", "/nothing"])
def test_no_banner(web: Running, path: str) -> None:
    _, headers, body = web.request(path)
    assert "Server" not in headers
    assert b"ornado" not in body


def test_a_body_is_refused(web: Running) -> None:
    assert web.request(body=b"x" * 100)[0] in (400, 413)
    chunked = b"GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
    with web.connect() as client:
        client.sendall(chunked + b"0\r\n\r\n")
        assert re.match(rb"HTTP/1.1 4(00|13) ", client.recv(1000))


def test_a_failing_collection_is_an_error_of_its_own(web: Running) -> None:
    web.collector.error = RuntimeError("secret")
    status, _, body = web.request()
    assert status == 500
    assert b"see the exporter's log" in body
    assert b"secret" not in body
    web.collector.error = None
    assert web.request()[0] == 200


def test_a_huge_header_ends_the_connection(web: Running) -> None:
    with web.connect() as client, contextlib.suppress(ConnectionError):
        client.sendall(b"GET / HTTP/1.1\r\nX: ")
        for _ in range(64):
            client.sendall(b"a" * 1024)
        assert not client.recv(1000).startswith(b"HTTP/1.1 200")
    assert web.request("/-/healthy")[0] == 200


def test_a_slow_header_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADER_SECONDS", 0.3)
    with running(FakeCollector()) as web, web.connect() as client:
        client.sendall(b"GET / HT")
        assert client.recv(1000) == b""


def test_a_client_that_does_not_read_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "WRITE_SECONDS", 0.3)
    with running(FakeCollector(text="x" * 40_000_000)) as web, web.connect() as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: bool(web.server._busy))
        wait_for(lambda: not web.server._busy)
        response = http.client.HTTPResponse(client)
        response.begin()
        with pytest.raises((ConnectionError, http.client.IncompleteRead)):
            response.read()
        assert web.request("/-/healthy")[0] == 200


def test_many_idle_connections_do_not_keep_a_scrape_out(web: Running) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(server.MAX_CONNECTIONS + 50):
            stack.enter_context(web.connect())
        assert web.request()[0] == 200


def test_scrapes_take_turns_and_the_loop_stays_free() -> None:
    gate = threading.Event()
    collector = FakeCollector(gate=gate)
    answers: list[int] = []
    with running(collector) as web:
        threads = [
            threading.Thread(target=lambda: answers.append(web.request()[0])) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        wait_for(lambda: collector.runs == 1)
        assert web.request("/-/healthy")[0] == 200
        gate.set()
        for thread in threads:
            thread.join()
    assert answers == [200] * 8
    assert (collector.runs, collector.most_together) == (9, 1)


def test_too_many_scrapes_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_WAITING", 1)
    gate = threading.Event()
    with running(FakeCollector(gate=gate)) as web:
        wait_for(lambda: web.collector.runs == 1)
        status, headers, _ = web.request()
        gate.set()
    assert (status, headers["Retry-After"]) == (503, "1")


def test_a_client_that_left_while_it_waited_costs_no_collection() -> None:
    gate = threading.Event()
    with running(FakeCollector(gate=gate)) as web:
        wait_for(lambda: web.collector.runs == 1)
        with web.connect() as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_for(lambda: bool(web.server._busy))
        time.sleep(0.1)
        gate.set()
        wait_for(lambda: not web.server._busy)
        assert web.collector.runs == 1


def test_stopping_lets_a_request_end() -> None:
    gate = threading.Event()
    with running(FakeCollector(gate=gate)) as web, web.connect() as client:
        wait_for(lambda: web.collector.runs == 1)
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: bool(web.server._busy))
        threading.Timer(0.3, gate.set).start()
        web.stop()
        response = http.client.HTTPResponse(client)
        response.begin()
        assert b"fdscope_test_bytes_total" in response.read()
        with pytest.raises(ConnectionRefusedError):
            web.connect()


def test_stopping_does_not_wait_for_ever() -> None:
    gate = threading.Event()
    with running(FakeCollector(gate=gate)) as web, web.connect() as client:
        wait_for(lambda: web.collector.runs == 1)
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: bool(web.server._busy))
        web.stop(grace_seconds=0.2)
        gate.set()
        assert client.recv(1000) == b""


def test_two_servers_on_one_port() -> None:
    first = server.bind([Address("127.0.0.1", 0)])
    try:
        port = first[0].getsockname()[1]
        free = Address("127.0.0.1", 0)
        with pytest.raises(BindError, match=rf"127\.0\.0\.1:{port}: .*in use.*ss -ltnp.*--web\."):
            server.bind([free, Address("127.0.0.1", port)])
    finally:
        server.release(first)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (Address("192.0.2.1", 20253), "cannot listen on 192.0.2.1:20253: .*ip address"),
        (Address("no.such.host.invalid", 1), "cannot listen on no.such.host.invalid:1: .*choose"),
    ],
)
def test_addresses_that_cannot_be_had(address: Address, message: str) -> None:
    with pytest.raises(BindError, match=message):
        server.bind([address])


def test_urls_that_a_browser_can_open() -> None:
    sockets = server.bind([Address("", 0), Address("127.0.0.1", 0)])
    try:
        found = server.urls(sockets)
        assert all(re.fullmatch(r"http://(127\.0\.0\.1|\[::1\]):[0-9]+", url) for url in found)
        assert f"http://127.0.0.1:{sockets[-1].getsockname()[1]}" in found
    finally:
        server.release(sockets)
