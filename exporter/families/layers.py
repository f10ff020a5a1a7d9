# SPDX-License-Identifier: GPL-2.0-only
"""Ledger and durations as metric families."""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import Metric as Family

from fdscope.exporter.accounts.ledger import Line, Side
from fdscope.exporter.catalog import Metric
from fdscope.exporter.catalog import layers as catalog
from fdscope.exporter.families.build import family, gauge
from fdscope.probes.schema.snapshot import LATENCY_LAST_BUCKET, Latency
from fdscope.probes.schema.taxonomy import Account, FdType


def ledger_families(lines: Iterable[Line], residuals: Mapping[Side, int]) -> Iterator[Family]:
    """The terms of the ledger, and its residuals."""
    entries = list(lines)
    yield gauge(
        catalog.LEDGER_DOOR_BYTES,
        (
            ((*line.side.labels(), door.label), count)
            for line in entries
            for door, count in line.doors.items()
        ),
    )
    sockets = [line for line in entries if line.is_socket]
    for metric, term in (
        (catalog.LEDGER_SOCKET_BYTES, "socket"),
        (catalog.LEDGER_KERNEL_BYTES, "kernel"),
        (catalog.LEDGER_BLIND_BYTES, "blind"),
    ):
        yield gauge(metric, ((line.side.labels(), getattr(line, term)) for line in sockets))
    yield gauge(
        catalog.LEDGER_UNDER_WAY_BYTES,
        ((line.side.labels(), line.under_way) for line in sockets if line.side.direction == "sent"),
    )
    yield gauge(
        catalog.LEDGER_RESIDUAL_BYTES,
        ((side.labels(), count) for side, count in residuals.items()),
    )


def add_histogram(metric: Metric, labels: dict[str, str], latency: Latency, into: Family) -> None:
    """The samples of a histogram in seconds."""
    total = 0
    for power, count in enumerate(latency.buckets[: LATENCY_LAST_BUCKET + 1]):
        total += count
        bound = "+Inf" if power == LATENCY_LAST_BUCKET else repr(2**power / 1e9)
        into.add_sample(f"{metric.name}_bucket", {**labels, "le": bound}, total)
    into.add_sample(f"{metric.name}_count", labels, total)
    into.add_sample(f"{metric.name}_sum", labels, latency.nanoseconds / 1e9)


def latency_families(latencies: Mapping[tuple[FdType, Account], Latency]) -> Iterator[Family]:
    """Durations of file operations; nothing if they are not measured."""
    for account, metric in (
        (Account.FILE_READ, catalog.FILE_READ_SECONDS),
        (Account.FILE_WRITE, catalog.FILE_WRITE_SECONDS),
    ):
        chosen = [(t, latency) for (t, a), latency in latencies.items() if a is account]
        if chosen:
            result = family(metric)
            for fd_type, latency in chosen:
                add_histogram(metric, {"fd_type": fd_type.label}, latency, result)
            yield result
