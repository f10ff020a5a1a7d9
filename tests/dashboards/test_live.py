# SPDX-License-Identifier: GPL-2.0-only
"""The dashboards on real data: an exporter on this kernel, workloads, a real Prometheus."""

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fdscope.dashboards.promql.expressions import NOW, both_rates, rate, select
from fdscope.exporter.catalog import layers
from tests.dashboards.grafana_code import drawn
from tests.dashboards.made import DASHBOARDS, Json, panels
from tests.dashboards.prometheus import SCRAPE_SECONDS, filled_in, free_port, instant, prometheus
from tests.dashboards.workload import burst

pytestmark = pytest.mark.kernel

_PATIENCE_SECONDS = 240
FLOW = "Which process, through which door, to where, last minute"
PROCESS = "web-server|broker|leak|inspector"

# Queries that are empty on a healthy host, or young one, each with its reason.
EMPTY: dict[tuple[str, str], str] = {
    ("Firing now", ""): "nothing fires: this Prometheus has no rules",
    ("Missed runs", ""): "the kernel skips no run, unless by chance",
    ("Processor time in probes", ""): "the kernel does not count it (kernel.bpf_stats_enabled=0)",
    ("Runs of probes", ""): "the kernel does not count them (kernel.bpf_stats_enabled=0)",
    ("Drift of the fd accounts", ""): "census and events agree",
    ("Calls refused for their fd", ""): "the workload is refused nothing",
    ("TCP connections that should pass", ""): "every program of the workload closes",
    ("Connections that wait for accept", ""): "the workload accepts at once",
    ("Listen queues, share of the backlog", ""): "the workload accepts at once",
    (
        "Time to the fd limit, at the pace of the last minute or half hour",
        "",
    ): "no process of the workload comes near its limit",
    (
        "Waiting for permission",
        "",
    ): "tracepoint mode does not measure these waits",
    ("Open fds of those that grow", ""): "a slope needs some minutes of the past",
    ("Bytes now and an hour before", "B"): "it needs an hour of the past",
    ("Events that are not in the journal", ""): "no event of the workload is lost",
}


def _wait_until_ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Seconds until the probes are compiled and attached on a busy machine."""
    while True:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5):
                return
        except OSError:
            time.sleep(0.5)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a Prometheus that has scraped an exporter on a busy host for a while."""
    if os.geteuid() != 0:
        pytest.fail("this test attaches probes: run it as root")
    folder: Path = tmp_path_factory.mktemp("prometheus")
    exporter = free_port()
    command = [sys.executable, "-m", "fdscope", "exporter", "--probe.latency"]
    command += ["--probe.stacks", f"--web.listen-address=127.0.0.1:{exporter}"]
    with (folder / "exporter.log").open("wb") as log:
        running = [subprocess.Popen(command, stdout=log, stderr=log)]
    _wait_until_ready(exporter, running[0], folder / "exporter.log")
    running.append(subprocess.Popen([sys.executable, "-m", "tests.dashboards.workload"]))
    try:
        with prometheus(exporter, folder) as prometheus_port:
            yield prometheus_port
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait(60)


def _wanted() -> list[Any]:
    return [
        pytest.param(target["expr"], id=f"{name}-{panel['title']}-{target['refId']}")
        for name, dashboard in DASHBOARDS.items()
        for panel in panels(dashboard)
        for target in panel.get("targets", ())
        if not {(panel["title"], ""), (panel["title"], target["refId"])} & set(EMPTY)
    ]


@pytest.fixture(scope="module")
def deadline(port: int) -> float:
    """Deadline for all answers together: the first scrapes lack some."""
    assert instant(port, "up")["result"]
    return time.monotonic() + _PATIENCE_SECONDS


@pytest.mark.parametrize("expression", _wanted())
def test_every_query_of_every_panel_has_an_answer(
    port: int, deadline: float, expression: str
) -> None:
    while not (result := instant(port, filled_in(expression, process=PROCESS))["result"]):
        assert time.monotonic() < deadline, "no data"
        time.sleep(1)
    assert result


@pytest.mark.parametrize(("title", "ref_id"), EMPTY)
def test_what_may_be_empty_is_understood_by_prometheus(port: int, title: str, ref_id: str) -> None:
    targets = [
        target
        for dashboard in DASHBOARDS.values()
        for panel in panels(dashboard)
        if panel["title"] == title
        for target in panel["targets"]
        if ref_id in ("", target["refId"])
    ]
    assert targets
    for target in targets:
        instant(port, filled_in(target["expr"]))


def _panel(title: str) -> Json:
    return next(p for d in DASHBOARDS.values() for p in panels(d) if p["title"] == title)


def _columns(panel: Json) -> set[str]:
    """Titles that the panel speaks of; a label can be empty everywhere: it has none."""
    organize = next(t["options"] for t in panel["transformations"] if t["id"] == "organize")
    hidden = organize["excludeByName"]
    titles = {title for name, title in organize["renameByName"].items() if name not in hidden}
    return titles - {"unit", "container", "image", "namespace", "pod"}


def _drawn(port: int, title: str) -> dict[str, Any]:
    """The frames of a panel, by the fields' own names, once there are some."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while not (frames := drawn(port, _panel(title), by="name")) and time.monotonic() < until:
        time.sleep(1)
    return frames


def _table(port: int, panel: Json) -> dict[str, list[Any]]:
    """The frames of a table, once all its columns are there."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        frames = drawn(port, panel, process=PROCESS).values()
        rows = {name: values for frame in frames for name, values in frame.items()}
        if _columns(panel) <= set(rows) or time.monotonic() > until:
            return rows
        time.sleep(1)


def test_the_ledger_adds_up_to_the_byte(port: int) -> None:
    rows = _table(port, _panel("The ledger: every byte explained"))
    assert "tcp" in rows["fd type"]
    sums = [0.0] * len(rows["fd type"])
    for direction in ("sent", "received"):
        terms = ("through doors", "of these blind", "socket layer", "unexplained")
        columns = [rows[f"{direction}: {term}"] for term in terms]
        for row, (door, blind, socket, unexplained) in enumerate(zip(*columns, strict=True)):
            explained = (door or 0) - (blind or 0)
            on_its_way = 1_000_000
            assert abs((socket or 0) - explained) <= (unexplained or 0) + on_its_way
            sums[row] += door or 0
    assert sums == sorted(sums, reverse=True)


def _value(port: int, expression: str, at: float) -> float:
    """The only number of an answer; 0 if there is none."""
    result = instant(port, filled_in(expression), at)["result"]
    return sum(float(sample["value"][1]) for sample in result)


def _old_enough(port: int) -> None:
    """Wait until the exporter has been scraped for longer than the windows of the panels."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while not instant(port, "up offset 80s == 1")["result"]:
        assert time.monotonic() < until, "the exporter is not scraped"
        time.sleep(1)


def test_what_processes_did_before_their_first_scrape_is_counted_to_the_byte(port: int) -> None:
    _old_enough(port)
    name, chunk, count = "short-lived", 100_000, 60
    burst(name, chunk, count, life=1.5 * SCRAPE_SECONDS)
    time.sleep(3 * SCRAPE_SECONDS)
    at, moved = time.time(), chunk * count
    counted = rate(layers.FILE_WRITTEN_BYTES, by=("process",), seconds=NOW, process=name)
    assert _value(port, counted, at) * NOW == pytest.approx(moved)
    samples = select(layers.FILE_WRITTEN_BYTES, process=name)
    assert _value(port, f"sum(increase({samples}[{NOW}s]))", at) < moved / 4


@pytest.mark.parametrize("by", [(), ("process",), ("process", "door"), ("fd_type",)])
def test_processes_add_up_to_the_ledger(port: int, by: tuple[str, ...]) -> None:
    _old_enough(port)
    at = time.time() - 10
    files = (layers.FILE_READ_BYTES, layers.FILE_WRITTEN_BYTES)
    ledger = _value(port, rate(layers.LEDGER_DOOR_BYTES, seconds=NOW), at)
    assert ledger > 1000
    found = _value(port, both_rates(*files, by=by, seconds=NOW), at)
    if "process" in by:
        # A storm of names beside this test: what one moved before it was summed is not shown.
        assert ledger * 0.95 < found < ledger * 1.000001
    else:
        assert found == pytest.approx(ledger)


@pytest.mark.parametrize(
    "title",
    ["Fd types new for a process", "Times as much as an hour before, last five minutes"],
)
def test_no_all_clear_without_an_hour_of_data(port: int, title: str) -> None:
    rows = _table(port, _panel(title))
    assert rows["process"] == ["(not enough data yet: an hour is needed)"]


def test_the_dashboard_of_a_process_opens_on_the_busiest(port: int) -> None:
    _old_enough(port)
    variables = DASHBOARDS["process"]["templating"]["list"]
    (variable,) = [v for v in variables if v["name"] == "process"]
    assert variable["sort"] == 0
    asked = re.fullmatch(r"query_result\((.*)\)", variable["query"])
    assert asked
    answer = instant(port, filled_in(asked[1]))["result"]
    moved = [float(sample["value"][1]) for sample in answer]
    assert moved[0] > 1000
    assert moved == sorted(moved, reverse=True)
    # As Grafana writes each sample, for the regular expression of the variable.
    text = f'{{process="{answer[0]["metric"]["process"]}"}} {moved[0]} 1700000000000'
    found = re.search(variable["regex"].strip("/"), text)
    assert found
    assert found[1] == answer[0]["metric"]["process"]


def test_the_node_graph_has_both_ends_of_every_line(port: int) -> None:
    frames = _drawn(port, FLOW)
    edges, nodes = frames["edges"], frames["nodes"]
    assert {"id", "source", "target", "mainstat", "thickness"} <= set(edges)
    assert {"id", "title", "subtitle", "mainstat", "arc__door"} <= set(nodes)
    assert {*edges["source"], *edges["target"]} <= set(nodes["id"])
    assert "door: socket_call" in nodes["id"]
    assert "socket layer: tcp" in nodes["id"]
    assert all(isinstance(value, (int, float)) for value in edges["mainstat"])
    assert min(edges["thickness"]) >= 0
    assert set(nodes["arc__door"]) == {0, 1}


def test_what_comes_into_a_circle_of_the_node_graph_leaves_it(port: int) -> None:
    _old_enough(port)
    (edges,) = [t["expr"] for t in _panel(FLOW)["targets"] if t["refId"] == "edges"]
    come: defaultdict[str, float] = defaultdict(float)
    leave: defaultdict[str, float] = defaultdict(float)
    at = time.time()
    for edge in instant(port, filled_in(edges), at)["result"]:
        leave[edge["metric"]["source"]] += float(edge["value"][1])
        come[edge["metric"]["target"]] += float(edge["value"][1])
    ledger = _value(port, rate(layers.LEDGER_DOOR_BYTES, seconds=NOW, back=10), at)
    doors = sum(amount for circle, amount in come.items() if circle.startswith("door: "))
    assert doors == pytest.approx(ledger / 1000, rel=0.001)
    between = come.keys() & leave.keys()
    assert {"door: read_write", "file layer: tcp", "socket layer: tcp"} <= between
    for circle in between:
        assert come[circle] == pytest.approx(leave[circle], rel=0.001, abs=0.1), circle


def test_the_chart_of_doors_has_a_column_per_door_and_rows_that_are_whole(port: int) -> None:
    (matrix,) = _drawn(port, "Doors of each fd type's bytes, last minute").values()
    fd_types = matrix.pop("fd_type\\door")
    assert "tcp" in fd_types
    assert "socket_call" in matrix
    for row in range(len(fd_types)):
        assert sum(float(column[row] or 0) for column in matrix.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    "panel",
    [
        pytest.param(panel, id=panel["title"])
        for dashboard in DASHBOARDS.values()
        for panel in panels(dashboard)
        if panel["type"] == "table" and (panel["title"], "") not in EMPTY
    ],
)
def test_a_table_has_the_columns_that_its_panel_speaks_of(port: int, panel: Json) -> None:
    rows = _table(port, panel)
    assert _columns(panel) <= set(rows)
    assert "Time" not in rows
