# SPDX-License-Identifier: GPL-2.0-only
"""The server: queued scrapes, and the stop."""

import http.client
import threading
import time

import pytest

from fdscope.exporter.http import scraper
from tests.exporter.serving import FakeCollector, Running, running, wait_for


def test_it_collects_once_by_itself(web: Running) -> None:
    wait_for(lambda: web.collector.runs == 1)


def test_scrapes_that_wait_share_the_next_collection_and_the_loop_stays_free() -> None:
    gate = threading.Event()
    collector = FakeCollector(gate=gate)
    answers: list[int] = []
    with running(collector) as web:
        threads = [
            threading.Thread(target=lambda: answers.append(web.request()[0])) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        wait_for(lambda: collector.runs == 1 and web.server.scraper.waiting >= len(threads))
        assert web.request("/-/healthy")[0] == 200
        gate.set()
        for thread in threads:
            thread.join()
    assert answers == [200] * 8
    assert (collector.runs, collector.most_together) == (2, 1)


def test_too_many_scrapes_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scraper, "MAX_WAITING", 1)
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
            wait_for(lambda: bool(web.server.connections.are_busy))
        time.sleep(0.1)
        gate.set()
        wait_for(lambda: not web.server.connections.are_busy)
        assert web.collector.runs == 1


def test_stopping_lets_a_request_end() -> None:
    gate = threading.Event()
    with running(FakeCollector(gate=gate)) as web, web.connect() as client:
        wait_for(lambda: web.collector.runs == 1)
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: bool(web.server.connections.are_busy))
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
        wait_for(lambda: bool(web.server.connections.are_busy))
        web.stop(grace_seconds=0.2)
        gate.set()
        assert client.recv(1000) == b""
