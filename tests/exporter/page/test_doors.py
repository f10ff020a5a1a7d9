# SPDX-License-Identifier: GPL-2.0-only
"""The demonstration as the page gets it."""

import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import pytest

from fdscope.probes.demonstration.doors import DoorsError, Lane
from tests.exporter.serving import LANES, FakeCollector, Running, running


def ask(web: Running) -> tuple[int, bytes]:
    status, _, body = web.request("/doors", "POST", X_Fdscope="doors")
    return status, body


def test_the_lanes_as_json(web: Running) -> None:
    status, body = ask(web)
    lanes = json.loads(json.dumps([asdict(lane) for lane in LANES]))
    assert (status, json.loads(body)) == (200, {"bytes": 1000, "lanes": lanes})


def test_all_that_ask_meanwhile_get_one_run() -> None:
    runs: list[int] = []
    gate = threading.Event()

    def slow() -> Sequence[Lane]:
        runs.append(1)
        gate.wait(10)
        return LANES

    with running(FakeCollector(), demonstration=slow) as web, ThreadPoolExecutor(8) as clients:
        answers = [clients.submit(ask, web) for _ in range(8)]
        while not runs:
            pass
        gate.set()
        assert {answer.result()[0] for answer in answers} == {200}
        assert len(runs) == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DoorsError("no folder can be written to"), b"no folder can be written to\n"),
        (ValueError("a bug"), b"the demonstration failed: see the exporter's log\n"),
    ],
)
def test_a_run_that_fails_says_why(error: Exception, said: bytes) -> None:
    def failing() -> Sequence[Lane]:
        raise error

    with running(FakeCollector(), demonstration=failing) as web:
        assert ask(web) == (503, said)
        assert web.request("/metrics")[0] == 200
