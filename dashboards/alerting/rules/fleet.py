# SPDX-License-Identifier: GPL-2.0-only
"""Recording rules for fleets: few series per host, whatever runs there."""

from collections.abc import Iterable

from fdscope.dashboards.alerting.model import Record
from fdscope.dashboards.alerting.rules.rates import per_second
from fdscope.dashboards.promql.selectors import keep, select
from fdscope.exporter.catalog import Metric, fds, health, layers, storage

RATE = "5m"
"""Part of the names of the recorded rates, so it cannot be set."""


def _rate(metric: Metric, *labels: str) -> Record:
    level = "_".join(("instance", *labels))
    return Record(
        f"{level}:{metric.family}:rate{RATE}",
        per_second(metric, labels, RATE),
        labels,
    )


def _now(operator: str, metric: Metric, *labels: str) -> Record:
    level = "_".join(("instance", *labels))
    return Record(
        f"{level}:{metric.name}:{operator}", keep(operator, metric, labels, select(metric)), labels
    )


def records() -> Iterable[Record]:
    """Rates by labels of closed sets, open fds, and the used share of the limits."""
    for metric in (layers.FILE_READ_BYTES, layers.FILE_WRITTEN_BYTES):
        yield _rate(metric, "fd_type", "door")
        yield _rate(metric, "process")
    for metric in (layers.FILE_READS, layers.FILE_WRITES, layers.FILE_ERRORS):
        yield _rate(metric, "fd_type")
    for metric in (layers.SOCKET_RECEIVED_BYTES, layers.SOCKET_SENT_BYTES):
        yield _rate(metric, "fd_type", "scope")
    for metric in (storage.NETWORK_RECEIVED_BYTES, storage.NETWORK_SENT_BYTES):
        yield _rate(metric, "kind")
    for metric in (fds.FDS_OPENED, fds.FDS_CLOSED):
        yield _rate(metric, "fd_type")
    yield _rate(layers.LEDGER_RESIDUAL_BYTES)
    yield _rate(health.LOST_UPDATES)
    yield _now("sum", fds.OPEN_FDS, "fd_type")
    yield _now("sum", fds.OPEN_FDS, "process")
    yield _now("max", fds.FD_LIMIT_RATIO)
