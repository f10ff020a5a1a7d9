# SPDX-License-Identifier: GPL-2.0-only
"""Every metric: its name, kind, labels and meaning. The only place where a metric is named."""

from fdscope.exporter.catalog import fds, health, held, journal, layers, sockets, storage, units
from fdscope.exporter.catalog.model import ENDED, Kind, Label, Metric
from fdscope.probes.schema.taxonomy import SOCKET_KINDS, FdKind, TcpState

__all__ = [
    "CATALOG",
    "ENDED",
    "SOCKET_KINDS",
    "FdKind",
    "Kind",
    "Label",
    "Metric",
    "TcpState",
    "fds",
    "health",
    "held",
    "journal",
    "layers",
    "sockets",
    "storage",
    "units",
]

CATALOG: tuple[Metric, ...] = tuple(
    value
    for module in (layers, storage, fds, sockets, held, units, journal, health)
    for value in vars(module).values()
    if isinstance(value, Metric)
)
