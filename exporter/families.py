# SPDX-License-Identifier: GPL-2.0-only
"""From snapshots and totals to metric families: pure functions, no kernel and no clock."""

import errno as errno_names
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import Metric as Family

from exporter import catalog
from exporter.catalog import Metric
from exporter.ledger import Line, Side
from exporter.processes import Owner
from probes.selftest import Row
from probes.snapshot import (
    LATENCY_LAST_BUCKET,
    UNKNOWN_ERRNO,
    Amount,
    Latency,
    Slot,
    Snapshot,
    slot,
)
from probes.taxonomy import Account, FdType, Mode

Totals = Mapping[Owner, Mapping[int, Amount]]

# Per account: the metric of its operations (None: not exported) and that of its bytes.
_METRICS: dict[Account, tuple[Metric | None, Metric]] = {
    Account.FILE_READ: (catalog.FILE_READS, catalog.FILE_READ_BYTES),
    Account.FILE_WRITE: (catalog.FILE_WRITES, catalog.FILE_WRITTEN_BYTES),
    Account.FILE_PEEK: (None, catalog.FILE_PEEKED_BYTES),
    Account.FILE_DUPLICATE: (None, catalog.FILE_DUPLICATED_BYTES),
    Account.SOCKET_RECEIVE: (catalog.SOCKET_RECEIVES, catalog.SOCKET_RECEIVED_BYTES),
    Account.SOCKET_SEND: (catalog.SOCKET_SENDS, catalog.SOCKET_SENT_BYTES),
    Account.SOCKET_PEEK: (None, catalog.SOCKET_PEEKED_BYTES),
}


def family(metric: Metric) -> Family:
    """An empty family of the client library for a metric of the catalog."""
    return Family(metric.family, metric.help, metric.kind.value, metric.unit)


def gauge(metric: Metric, values: Iterable[tuple[tuple[str, ...], float]]) -> Family:
    """A family with one sample per (label values, value); for gauges, counters and infos."""
    result = family(metric)
    for labels, value in values:
        result.add_sample(metric.name, dict(zip(metric.label_names, labels, strict=True)), value)
    return result


def errno_name(number: int) -> str:
    """``EAGAIN`` for 11; ``unknown`` where it was not kept; the number if it has no name."""
    if number == UNKNOWN_ERRNO:
        return "unknown"
    return errno_names.errorcode.get(number, str(number))


def _labels(owner: Owner, what: Slot) -> dict[str, str]:
    via = "door" if what.account.is_file else "scope"
    labels = {
        "process": owner.process,
        "pid": owner.pid,
        "unit": owner.unit,
        "fd_type": what.fd_type.label,
        via: what.via.label,
    }
    if owner.ended:
        labels["ended"] = owner.ended
    return labels


def process_families(totals: Totals) -> list[Family]:
    """File layer and socket layer, per process."""
    metrics = [metric for pair in _METRICS.values() for metric in pair if metric]
    families = {metric: family(metric) for metric in (*metrics, catalog.FILE_ERRORS)}
    errors: dict[tuple[tuple[str, str], ...], int] = {}
    for owner, amounts in totals.items():
        for code, amount in amounts.items():
            what = slot(code)
            if what.kernel:
                continue  # of no process: a term of the ledger
            labels = _labels(owner, what)
            if what.errno:
                labels["errno"] = errno_name(what.errno)
                key = tuple(labels.items())
                errors[key] = errors.get(key, 0) + amount.operations
                continue
            operations, byte_count = _METRICS[what.account]
            if operations:
                families[operations].add_sample(operations.name, labels, amount.operations)
            families[byte_count].add_sample(byte_count.name, labels, amount.bytes)
    for key, count in errors.items():
        families[catalog.FILE_ERRORS].add_sample(catalog.FILE_ERRORS.name, dict(key), count)
    return list(families.values())


def ledger_families(lines: Iterable[Line], residuals: Mapping[Side, int]) -> Iterator[Family]:
    """The terms of the ledger, and what they leave unexplained."""
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
        catalog.LEDGER_RESIDUAL_BYTES,
        ((side.labels(), count) for side, count in residuals.items()),
    )


def selftest_families(rows: Iterable[Row]) -> Iterator[Family]:
    """What the self-test at start moved, and what the probes saw of it."""
    sums: dict[tuple[str, ...], tuple[int, int]] = {}
    for row in rows:
        for layer, observed in (("file", row.file_bytes), ("socket", row.socket_bytes)):
            if observed is not None and not row.unsupported:
                labels = (row.door, row.fd_type, row.direction, layer)
                expected_sum, observed_sum = sums.get(labels, (0, 0))
                sums[labels] = expected_sum + row.expected_bytes, observed_sum + observed
    for column, metric in enumerate(
        (catalog.SELFTEST_EXPECTED_BYTES, catalog.SELFTEST_OBSERVED_BYTES)
    ):
        yield gauge(metric, ((labels, pair[column]) for labels, pair in sums.items()))


def _histogram(metric: Metric, fd_type: FdType, latency: Latency, into: Family) -> None:
    labels = {"fd_type": fd_type.label}
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
                _histogram(metric, fd_type, latency, result)
            yield result


def probe_families(mode: Mode, hooks: Iterable[Mapping[str, str]]) -> Iterator[Family]:
    """What is attached, and how."""
    yield gauge(catalog.ATTACH_MODE, (((m.value,), float(m is mode)) for m in Mode))
    yield gauge(
        catalog.PROBE_ATTACHED,
        (
            ((hook["layer"], hook["function"], hook["mode"]), float(hook["state"] == "attached"))
            for hook in hooks
        ),
    )


def map_families(snapshot: Snapshot) -> Iterator[Family]:
    """Losses, and how full the maps are."""
    yield gauge(
        catalog.LOST_UPDATES, (((loss.label,), count) for loss, count in snapshot.losses.items())
    )
    yield gauge(
        catalog.MAP_ENTRIES, (((name,), fill.entries) for name, fill in snapshot.maps.items())
    )
    yield gauge(
        catalog.MAP_CAPACITY, (((name,), fill.capacity) for name, fill in snapshot.maps.items())
    )
    yield gauge(
        catalog.PROBE_MISSED_RUNS,
        (((program,), runs) for program, runs in snapshot.missed_runs.items()),
    )
    if snapshot.runs:
        programs = snapshot.runs.items()
        yield gauge(catalog.PROBE_RUNS, (((name,), runs.count) for name, runs in programs))
        yield gauge(
            catalog.PROBE_RUN_SECONDS,
            (((name,), runs.nanoseconds / 1e9) for name, runs in programs),
        )
