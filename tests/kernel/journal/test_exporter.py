# SPDX-License-Identifier: GPL-2.0-only
"""The journal of a whole exporter: its files and metrics, a kill and a restart."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.kernel.conftest import in_child, modes

Told = dict[str, Any]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def exporter(directory: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The command as a user runs it; the process, and the address of its metrics."""
    mode = "auto" if len(modes()) > 1 else modes()[0].value
    command = [
        *(sys.executable, "-m", "fdscope", "exporter", f"--probe.mode={mode}"),
        *("--web.listen-address=127.0.0.1:0", "--scheduling.nice=0", "--journal.stdout"),
        *(f"--journal.file={directory}/events.jsonl", f"--journal.state={directory}"),
    ]
    out = (directory / "out").open("a")
    with (
        out,
        subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True) as process,
    ):
        try:
            yield process, metrics_address(process)
        finally:
            process.kill()


def metrics_address(process: "subprocess.Popen[str]") -> str:
    assert process.stderr
    for line in process.stderr:
        if found := re.search('metrics: (http[^"]*)', line):
            return found[1]
    raise AssertionError("the exporter has ended")


def events(directory: Path, name: str = "events.jsonl") -> list[Told]:
    try:
        return [json.loads(line) for line in (directory / name).read_text().splitlines()]
    except FileNotFoundError:
        return []


def of(told: list[Told], pid: int) -> list[Told]:
    return [each for each in told if each["process"] and each["process"]["pid"] == pid]


def sniff() -> None:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()


def test_a_kill_and_a_restart(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with exporter(tmp_path) as (process, address):
        first = in_child(sniff)
        wait_for(lambda: bool(of(events(tmp_path), first)))
        (told,) = of(events(tmp_path), first)
        assert (told["kind"], told["severity"]) == ("capture_socket", "warning")
        assert told["process"]["parents"][0]["pid"] == os.getpid()
        with urllib.request.urlopen(address) as answer:  # noqa: S310 - our own exporter
            metrics = answer.read().decode()
        assert re.search(
            r'fdscope_events_total\{kind="capture_socket",severity="warning"\} [1-9]', metrics
        )
        assert 'fdscope_events_lost_total{reason="ring_full"} 0.0' in metrics
        assert re.search(r'fdscope_event_lines_total\{sink="file"\} [1-9]', metrics)
        process.kill()
    assert of(events(tmp_path, "out"), first) == [told]
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"cut')
    with exporter(tmp_path) as (process, _):
        second = in_child(sniff)
        wait_for(lambda: bool(of(events_and_cut(tmp_path), second)))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    told_of = events_and_cut(tmp_path)
    assert len(of(told_of, first)) == 1
    own = [each for each in told_of if each["kind"].startswith("journal_")]
    assert [(each["kind"], each["facts"].get("last_run")) for each in own] == [
        ("journal_started", "unknown"),
        ("journal_started", "crashed"),
        ("journal_stopped", None),
    ]
    # The self-test of the exporter opens everything that is unusual: that is no event.
    assert not [
        each
        for each in told_of
        if each["process"] and each["process"]["name"].startswith("fdscope")
    ]
    assert (tmp_path / "events.jsonl").stat().st_mode & 0o777 == 0o600


def events_and_cut(directory: Path) -> list[Told]:
    """All but the line that was cut."""
    lines = (directory / "events.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines if line != '{"cut']
