# SPDX-License-Identifier: GPL-2.0-only
"""The page's events and files, over real HTTP."""

import asyncio
import gzip
import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from fdscope.exporter.http.exposition import LeftOut
from fdscope.exporter.page import feed
from fdscope.exporter.page.files import files
from fdscope.exporter.page.history import History
from fdscope.exporter.page.state import Picture, State, disk_filesystems
from tests.exporter.serving import FakeCollector, Running, running, wait_for


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "INTERVAL_SECONDS", 0.1)
    monkeypatch.setattr(feed, "FRESH_SECONDS", 0.05)


@contextmanager
def listening(web: Running, path: str = "/events") -> Iterator[http.client.HTTPResponse]:
    with web.connect() as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        response = http.client.HTTPResponse(client)
        response.begin()
        with response:  # it keeps the connection open too
            yield response


def event(response: http.client.HTTPResponse) -> Any:
    line = response.readline()
    assert line.startswith(b"data: "), line
    assert response.readline() == b"\n"
    return json.loads(line.removeprefix(b"data: "))


def test_events_come_at_once_and_go_on(web: Running) -> None:
    with listening(web) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["X-Accel-Buffering"] == "no"
        assert event(response)["rate"] is None
        assert all("total" in event(response) for _ in range(3))


def test_a_second_client_gets_the_last_state_without_a_collection(
    web: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "INTERVAL_SECONDS", 60.0)
    with listening(web) as first:
        event(first)
        runs = web.collector.runs
        with listening(web) as second:
            assert event(second)["readable"] is False
        assert web.collector.runs == runs


def test_nothing_is_collected_when_nobody_looks(
    web: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for(lambda: web.collector.runs == 1)
    with listening(web) as response:
        event(response)
        event(response)
    wait_for(lambda: web.server.feed.listeners == 0)
    runs = web.collector.runs
    time.sleep(0.5)
    assert web.collector.runs == runs
    assert web.server.feed.is_watched
    monkeypatch.setattr(feed, "WINDOW_SECONDS", 0.1)
    wait_for(lambda: not web.server.feed.is_watched)
    assert web.server.feed.kept == 0


@pytest.mark.parametrize("away", [0.0, 0.2, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 1.0])
def test_a_viewer_who_comes_back_is_served_again(
    monkeypatch: pytest.MonkeyPatch, away: float
) -> None:
    """Also in the last pause before the feed stops."""
    monkeypatch.setattr(feed, "WINDOW_SECONDS", 0.5)
    with running(FakeCollector()) as web:
        with listening(web) as response:
            event(response)
            event(response)
        wait_for(lambda: web.server.feed.listeners == 0)
        time.sleep(away)
        with listening(web) as response:
            assert all("total" in event(response) for _ in range(6))


def test_a_viewer_at_the_very_end_of_the_window_is_served() -> None:
    """The clock says that no page was open for long, but one is."""
    now = [100.0]

    async def play() -> None:
        async def collect() -> None:
            followed.take(())

        followed = feed.Feed(collect, LeftOut(), History(0), lambda: now[0])
        async with aclosing(followed.messages()) as messages:
            await anext(messages)
        await asyncio.sleep(2.5 * feed.INTERVAL_SECONDS)  # it has noticed that no page is open
        now[0] += 2 * feed.WINDOW_SECONDS
        async with aclosing(followed.messages()) as messages:
            for _ in range(4):
                await asyncio.wait_for(anext(messages), 10)
        await followed.stop()

    asyncio.run(play())


def test_without_the_list_of_filesystems_the_page_goes_on(tmp_path: Path) -> None:
    assert disk_filesystems(tmp_path / "none") == {"overlay", "btrfs", "zfs"}


def test_one_client_has_a_share_of_the_pages(web: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MAX_CLIENTS_PER_PEER", 1)
    with listening(web) as first:
        event(first)
        assert web.request("/events")[0] == 503


def test_a_fresh_scrape_serves_as_the_pages_reading(
    web: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "FRESH_SECONDS", 60.0)
    with listening(web) as response:
        event(response)
        runs = web.collector.runs
        web.request("/metrics")
        event(response)
        event(response)
        assert web.collector.runs == runs + 1


def test_too_many_clients_are_turned_away(web: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MAX_CLIENTS", 1)
    with listening(web) as first:
        event(first)
        status, headers, _ = web.request("/events")
        assert (status, headers["Retry-After"]) == (503, "10")
    wait_for(lambda: web.server.feed.listeners == 0)
    with listening(web) as again:
        assert again.status == 200


def test_a_client_that_does_not_read_is_dropped(
    web: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fdscope.exporter.http.handlers.WRITE_SECONDS", 0.3)
    nothing = Picture([], [], [], [], [])
    large = State(0.0, True, True, None, nothing, lost={"x" * 10_000_000: 1}, open={})
    monkeypatch.setattr(feed, "state", lambda *_: large)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", web.port))
        client.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: web.server.feed.listeners == 1)
        wait_for(lambda: web.server.feed.listeners == 0)
    assert web.request("/-/healthy")[0] == 200


def test_stopping_ends_the_events() -> None:
    with running(FakeCollector()) as web, listening(web) as response:
        event(response)
        started = time.monotonic()
        web.stop(grace_seconds=5)
        while response.readline():
            pass
        assert time.monotonic() - started < 4


def test_a_collection_that_fails_is_told_and_gone_when_it_works_again(web: Running) -> None:
    web.collector.error = RuntimeError("secret")
    with listening(web) as response:
        assert event(response) == {"readable": False}
        web.collector.error = None
        states = (event(response) for _ in range(20))
        assert any("total" in each for each in states)


@pytest.mark.parametrize("name", sorted(files()))
def test_files(web: Running, name: str) -> None:
    status, headers, body = web.request(f"/static/{name}")
    assert status == 200
    assert headers["Content-Type"].startswith("text/")
    assert body == files()[name].path.read_bytes()
    _, headers, packed = web.request(f"/static/{name}", Accept_Encoding="gzip, br")
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed) == body
    status, again, nothing = web.request(
        f"/static/{name}", Accept_Encoding="gzip, br", If_None_Match=headers["ETag"]
    )
    assert (status, again["ETag"], nothing) == (304, headers["ETag"], b"")
    assert web.request(f"/static/{name}")[1]["ETag"] != headers["ETag"]
    assert web.request(f"/static/{name}", If_None_Match=headers["ETag"])[0] == 200
    status, headers, nothing = web.request(f"/static/{name}", "HEAD")
    assert (status, int(headers["Content-Length"]), nothing) == (200, len(body), b"")


@pytest.mark.parametrize("path", ["/static/", "/static/../page.html", "/static/page.html"])
def test_no_other_files(web: Running, path: str) -> None:
    assert web.request(path)[0] == 404


def test_head_of_the_events_ends(web: Running) -> None:
    status, headers, _ = web.request("/events", "HEAD")
    assert (status, headers["Content-Type"]) == (200, "text/event-stream")
