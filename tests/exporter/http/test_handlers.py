# SPDX-License-Identifier: GPL-2.0-only
"""The answer of each page."""

import contextlib
import gzip
import http.client
import re

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from fdscope.exporter.http import handlers
from tests.exporter.serving import FakeCollector, Running, running, wait_for


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


def test_landing_page(web: Running) -> None:
    status, headers, body = web.request("/")
    text = body.decode()
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    policy = headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "connect-src 'self'"} <= set(policy)
    assert "unsafe-eval" not in headers["Content-Security-Policy"]
    assert "1 of 2 hooks" in text
    assert text.rstrip().endswith("</html>")


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
    # The server does not read it, so the connection can be reset before the answer is seen.
    with contextlib.suppress(ConnectionError):
        assert web.request(body=b"x" * 100)[0] in (400, 413)
    chunked = b"GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
    with web.connect() as client, contextlib.suppress(ConnectionError):
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


def test_a_client_that_does_not_read_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "WRITE_SECONDS", 0.3)
    with running(FakeCollector(text="x" * 40_000_000)) as web, web.connect() as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: bool(web.server.connections.are_busy))
        wait_for(lambda: not web.server.connections.are_busy)
        response = http.client.HTTPResponse(client)
        response.begin()
        with pytest.raises((ConnectionError, http.client.IncompleteRead)):
            response.read()
        assert web.request("/-/healthy")[0] == 200
