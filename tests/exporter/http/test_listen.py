# SPDX-License-Identifier: GPL-2.0-only
"""Addresses that can and cannot be listened on, and connections past the limits."""

import contextlib
import re

import pytest

from fdscope.exporter.http import connections, listen
from fdscope.exporter.http.listen import BindError
from fdscope.exporter.settings.addresses import Address
from tests.exporter.serving import FakeCollector, Running, running


def test_two_servers_on_one_port() -> None:
    first = listen.bind([Address("127.0.0.1", 0)])
    try:
        port = first[0].getsockname()[1]
        free = Address("127.0.0.1", 0)
        with pytest.raises(BindError, match=rf"127\.0\.0\.1:{port}: .*in use.*ss -ltnp.*--web\."):
            listen.bind([free, Address("127.0.0.1", port)])
    finally:
        listen.release(first)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (Address("192.0.2.1", 20253), "cannot listen on 192.0.2.1:20253: .*ip address"),
        (Address("no.such.host.invalid", 1), "cannot listen on no.such.host.invalid:1: .*choose"),
    ],
)
def test_addresses_that_cannot_be_had(address: Address, message: str) -> None:
    with pytest.raises(BindError, match=message):
        listen.bind([address])


def test_urls_that_a_browser_can_open() -> None:
    sockets = listen.bind([Address("", 0), Address("127.0.0.1", 0)])
    try:
        found = listen.urls(sockets)
        assert all(re.fullmatch(r"http://(127\.0\.0\.1|\[::1\]):[0-9]+", url) for url in found)
        assert f"http://127.0.0.1:{sockets[-1].getsockname()[1]}" in found
    finally:
        listen.release(sockets)


def test_a_huge_header_ends_the_connection(web: Running) -> None:
    with web.connect() as client, contextlib.suppress(ConnectionError):
        client.sendall(b"GET / HTTP/1.1\r\nX: ")
        for _ in range(64):
            client.sendall(b"a" * 1024)
        assert not client.recv(1000).startswith(b"HTTP/1.1 200")
    assert web.request("/-/healthy")[0] == 200


def test_a_slow_header_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.3)
    with running(FakeCollector()) as web, web.connect() as client:
        client.sendall(b"GET / HT")
        assert client.recv(1000) == b""


def test_many_idle_connections_do_not_keep_a_scrape_out(web: Running) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(connections.MAX_CONNECTIONS + 50):
            stack.enter_context(web.connect())
        assert web.request()[0] == 200
