# SPDX-License-Identifier: GPL-2.0-only
"""File layer, socket layer, ledger and durations as metric families."""

import errno as errno_names
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import Metric as Family

from exporter.catalog import Metric
from exporter.catalog import layers as catalog
from exporter.families.build import family, gauge
from exporter.ledger import Line, Side
from exporter.owners import Owner
from probes.snapshot import LATENCY_LAST_BUCKET, UNKNOWN_ERRNO, Amount, Latency, Slot, slot
from probes.taxonomy import Account, FdType

Totals = Mapping[Owner, Mapping[int, Amount]]

# Per account: the metric of its operations (None: not exported) and that of its bytes.
_METRICS: dict[Account, tuple[Metric | None, Metric]] = {
    Account.FILE_READ: (catalog.FILE_READS, catalog.FILE_READ_BYTES),
    Account.FILE_WRITE: (catalog.FILE_WRITES, catalog.FILE_WRITTEN_BYTES),
    Account.FILE_PEEK: (None, catalog.FILE_PEEKED_BYTES),
    Account.FILE_DUPLICATE: (None, catalog.FILE_DUPLICATED_BYTES),
    Account.FILE_TRUNCATE: (None, catalog.FILE_TRUNCATED_BYTES),
    Account.FILE_ERRQUEUE: (None, catalog.FILE_ERRQUEUE_BYTES),
    Account.SOCKET_RECEIVE: (catalog.SOCKET_RECEIVES, catalog.SOCKET_RECEIVED_BYTES),
    Account.SOCKET_SEND: (catalog.SOCKET_SENDS, catalog.SOCKET_SENT_BYTES),
    Account.SOCKET_PEEK: (None, catalog.SOCKET_PEEKED_BYTES),
    Account.SOCKET_TRUNCATE: (None, catalog.SOCKET_TRUNCATED_BYTES),
    Account.SOCKET_ERRQUEUE: (None, catalog.SOCKET_ERRQUEUE_BYTES),
}


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
            if what.kernel or what.account.is_fd:
                continue  # of no process, a term of the ledger; or of `families.fds`
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
