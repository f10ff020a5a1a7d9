# SPDX-License-Identifier: GPL-2.0-only
"""Process names that a local user chooses to disturb the figures."""

import pytest
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from fdscope.exporter.accounts.processes import process_name


@pytest.mark.parametrize(
    "comm",
    [b'a"b\\c', b"new\nline", b"\xff\xfe\x00\x01", b"", b"{}=,", b"x" * 15, "\u202eexe".encode()],
)
def test_names_that_processes_give_themselves_are_plain_labels(comm: bytes) -> None:
    registry = CollectorRegistry()
    Gauge("x", "Help.", ["process"], registry=registry).labels(process_name(comm)).set(1)
    (family,) = text_string_to_metric_families(generate_latest(registry).decode())
    (sample,) = family.samples
    assert sample.labels == {"process": process_name(comm)}
    assert sample.value == 1
