# SPDX-License-Identifier: GPL-2.0-only
"""From snapshots and totals to metric families: pure functions, no kernel and no clock."""

import errno as errno_names
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import Metric as Family

from exporter import catalog
from exporter.catalog import Metric
from exporter.processes import Owner
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
