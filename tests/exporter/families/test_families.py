# SPDX-License-Identifier: GPL-2.0-only
"""From totals to exposition: right samples, valid text for any process name."""

import shutil
import subprocess
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector

from fdscope.exporter.accounts.ledger import Residuals, ledger
from fdscope.exporter.accounts.processes import Owner, process_name
from fdscope.exporter.catalog import CATALOG
from fdscope.exporter.families import health, layers, owned
from fdscope.probes.attach.report import HookStatus, State
from fdscope.probes.schema.slots import KERNEL_SOCKET, code_of
from fdscope.probes.schema.snapshot import Amount, Latency, MapFill, Runs, Snapshot
from fdscope.probes.schema.taxonomy import Account, Door, FdType, Loss, Mode, Scope
from fdscope.probes.selftest.run import Row

AMOUNTS = {
    code_of(Account.FILE_READ, FdType.TCP, Door.READ_WRITE): Amount(3, 12345678901),
    code_of(Account.FILE_WRITE, FdType.REGULAR, Door.SENDFILE): Amount(1, 7),
    code_of(Account.FILE_READ, FdType.FIFO, Door.READ_WRITE, 11): Amount(4, 0),
    code_of(Account.SOCKET_RECEIVE, FdType.TCP, Scope.REMOTE): Amount(2, 9),
    code_of(Account.SOCKET_RECEIVE, FdType.TCP, Scope.REMOTE | KERNEL_SOCKET): Amount(1, 1000),
    code_of(Account.FILE_PEEK, FdType.TCP, Door.SOCKET_CALL): Amount(1, 5),
}
OWNER = Owner("curl", "77", "app.service")


class Fixed(Collector):
    def __init__(self, *parts: Iterable[Metric]) -> None:
        self._families = [family for part in parts for family in part]

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def registry_of(*parts: Iterable[Metric]) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(Fixed(*parts))
    return registry


def test_samples() -> None:
    text = generate_latest(registry_of(owned.process_families({OWNER: AMOUNTS}))).decode()
    found = {
        (line.rpartition("{")[0], line.rpartition(" ")[2])
        for line in text.splitlines()
        if not line.startswith("#")
    }
    assert found == {
        ("fdscope_file_reads_total", "3.0"),
        ("fdscope_file_read_bytes_total", "1.2345678901e+10"),
        ("fdscope_file_writes_total", "1.0"),
        ("fdscope_file_written_bytes_total", "7.0"),
        ("fdscope_file_errors_total", "4.0"),
        ("fdscope_file_peeked_bytes_total", "5.0"),
        ("fdscope_socket_receives_total", "2.0"),
        ("fdscope_socket_received_bytes_total", "9.0"),
    }
    labels = 'door="sendfile",fd_type="regular",pid="77",process="curl",unit="app.service"'
    assert f"fdscope_file_written_bytes_total{{{labels}}} 7.0\n" in text
    assert 'errno="EAGAIN"' in text


def everything(name: str) -> CollectorRegistry:
    totals = {Owner(name, "1", ""): AMOUNTS, Owner(name, "", "", "1700000000"): AMOUNTS}
    lines = ledger(totals.values())
    snapshot = Snapshot(
        {},
        {},
        losses=dict.fromkeys(Loss, 0),
        maps={"counters": MapFill(1, 2)},
        missed_runs={"on_sys_exit": 0},
        runs={"on_sys_exit": Runs(5, 1000)},
    )
    latency = {(FdType.TCP, Account.FILE_READ): Latency(tuple(range(63)), 5)}
    hook = HookStatus("vfs_read", "file", "fentry", "", State.ATTACHED)
    return registry_of(
        owned.process_families(totals),
        layers.ledger_families(lines, Residuals().update(lines)),
        layers.latency_families(latency),
        health.map_families(snapshot),
        health.memory_families({"counters": 4096}),
        health.probe_families(Mode.FENTRY, tuple(Mode), [hook]),
        health.selftest_families([Row("c", "splice", "tcp", "read", 9, 8, 9, False)]),
    )


@pytest.mark.parametrize("comm", [b"plain", b'"\\\n{}', b"\xf0\x9f\x98\x80", b"\xff\x01\r\t"])
def test_promtool_finds_nothing_wrong(comm: bytes) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.fail("promtool is missing: install the package prometheus (make test does)")
    text = generate_latest(everything(process_name(comm)))
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""


@given(st.binary(min_size=1, max_size=15).filter(lambda comm: b"\0" not in comm))
def test_any_name_is_read_back(comm: bytes) -> None:
    name = process_name(comm)
    registry = everything(name)
    for text, parse in (
        (generate_latest(registry), parse_text),
        # the library leaves this one untyped
        (generate_openmetrics(registry), parse_openmetrics),  # type: ignore[no-untyped-call]
    ):
        names = {
            sample.labels["process"]
            for family in parse(text.decode())
            for sample in family.samples
            if "process" in sample.labels
        }
        assert names == {name}


def test_every_sample_is_one_of_the_catalog() -> None:
    known = {metric.name: {*metric.label_names, "ended"} for metric in CATALOG}
    for family in everything("x").collect():
        for sample in family.samples:
            base = sample.name
            for suffix in ("_bucket", "_count", "_sum"):
                base = base.removesuffix(suffix) if base not in known else base
            assert set(sample.labels) - {"le"} <= known[base]


def test_histogram_bounds_are_inclusive_powers_of_two() -> None:
    buckets = [0] * 63
    buckets[0], buckets[3], buckets[40] = 1, 2, 4
    latency = {(FdType.FIFO, Account.FILE_WRITE): Latency(tuple(buckets), 99)}
    (family,) = layers.latency_families(latency)
    by_bound = {s.labels["le"]: s.value for s in family.samples if s.name.endswith("_bucket")}
    assert by_bound["1e-09"] == 1
    assert by_bound["4e-09"] == 1
    assert by_bound["8e-09"] == 3
    assert by_bound["+Inf"] == 7
    assert {s.name[-4:]: s.value for s in family.samples if "le" not in s.labels} == {
        "ount": 7,
        "_sum": 99e-9,
    }
