# SPDX-License-Identifier: GPL-2.0-only
"""The last hour of the page."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import bcrypt
import pytest

from fdscope.exporter.catalog import layers
from fdscope.exporter.catalog.model import Metric
from fdscope.exporter.families.owned import process_families
from fdscope.exporter.page.history import LENGTH_SECONDS, STEP_SECONDS, History
from fdscope.exporter.page.sums import Key, Reading
from fdscope.probes.schema.snapshot import Amount
from tests.exporter.page.test_state import READ_TCP, owner
from tests.exporter.serving import FakeCollector, Running, running

EPOCH = 1_800_000_000
DETAILS = {"web.details": True}
Sums = Mapping[Metric, Mapping[Key, float]]


def reading(at: float, name: str, read: float) -> Reading:
    return Reading(at, {layers.FILE_READ_BYTES: {(name, "1", "", "tcp", "socket_call"): read}})


class Clock:
    """Both clocks; the wall clock can be set."""

    def __init__(self) -> None:
        self.now = 0.0
        self.offset = float(EPOCH)

    def __call__(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now + self.offset


def filled(most_bytes: int, steps: int, names: int = 1) -> tuple[History, Clock]:
    clock = Clock()
    history = History(most_bytes, clock, clock.wall)
    for step in range(steps):
        assert history.is_due()
        sums: dict[Key, float] = {
            (os.urandom(8).hex(), str(n), "", "tcp", "socket_call"): 1500.0 * step
            for n in range(names)
        }
        history.add(Reading(clock.now, {layers.FILE_READ_BYTES: sums}), frozenset())
        assert not history.is_due()
        clock.now += STEP_SECONDS
    return history, clock


def test_the_state_at_a_time_is_the_last_one_before_it() -> None:
    clock = Clock()
    history = History(1_000_000, clock, clock.wall)
    for step in range(4):
        history.add(reading(clock.now, "nginx", 1500 * step * step), frozenset())
        clock.now += 15
    assert history.times() == [EPOCH + 15, EPOCH + 30, EPOCH + 45]
    rates = []
    for at in (EPOCH + 15, EPOCH + 44, EPOCH + 45, EPOCH + 9999):
        found = history.state_at(at)
        assert found
        rates.append(json.loads(found)["rate"]["flows"][0]["read"])
    assert rates == [100, 300, 500, 500]
    assert history.state_at(EPOCH + 14) is None


def test_an_hour_is_kept() -> None:
    history, clock = filled(64_000_000, 400)
    kept = history.times()
    assert kept[-1] - kept[0] <= LENGTH_SECONDS
    assert len(kept) == pytest.approx(LENGTH_SECONDS / STEP_SECONDS, abs=2)
    assert kept[-1] == clock.wall() - STEP_SECONDS


def test_the_bound_is_kept_by_dropping_the_oldest() -> None:
    history, _ = filled(20_000, 60, names=40)
    assert 10_000 < history.kept_bytes <= 20_000
    assert 1 < len(history.times()) < 59
    assert history.state_at(history.times()[0]) is not None


def test_none_is_kept_where_none_is_wanted() -> None:
    assert not History(0).is_due()


def test_a_clock_that_is_set_back_loses_nothing() -> None:
    history, clock = filled(1_000_000, 3)
    clock.offset -= 7200
    history.add(reading(clock.now, "a", 1), frozenset())
    assert len(history.times()) == 3
    assert history.state_at(EPOCH + 100) is not None


@pytest.fixture
def hourly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every scrape is kept."""
    monkeypatch.setattr("fdscope.exporter.page.history.STEP_SECONDS", 0)


def scraped(web: Running) -> list[int]:
    for _ in range(3):
        assert web.request("/metrics")[0] == 200
    times: list[int] = json.loads(web.request("/history")[2])["times"]
    return times


@pytest.mark.usefixtures("hourly")
def test_it_is_served_to_all_only_if_the_administrator_says_so(web: Running) -> None:
    status, _, body = web.request("/history")
    assert (status, b"--web.details" in body) == (403, True)
    assert b'data-details="no"' in web.request("/")[2]
    families = process_families({owner("nginx"): {READ_TCP: Amount(1, 5)}})
    with running(FakeCollector(families=families), changes=DETAILS) as shown:
        times = scraped(shown)
        assert len(times) == 3
        state = json.loads(shown.request(f"/history?at={times[-1]}")[2])
        assert state["readable"]
        assert b'data-details="yes"' in shown.request("/")[2]
        assert shown.request("/history", Host="rebound.example")[0] == 403
        assert b'data-details="no"' in shown.request("/", Host="rebound.example")[2]
        for wrong in ("", "x", "-1", "0", "9" * 5000, "1e9", "%00", "%D9%A3", "%FF"):
            assert shown.request(f"/history?at={wrong}")[0] in (400, 404)


@pytest.mark.usefixtures("hourly")
def test_it_is_served_to_those_with_a_password(tmp_path: Path) -> None:
    digest = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    file = tmp_path / "web.yml"
    file.write_text(f"basic_auth_users: {{alice: '{digest}'}}\n")
    with running(FakeCollector(), file) as web:
        assert web.request("/history")[0] == 401
        assert web.request("/history", Authorization="Basic YWxpY2U6c2VjcmV0")[0] == 200
