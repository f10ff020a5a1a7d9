# SPDX-License-Identifier: GPL-2.0-only
"""Every metric: its name, kind, labels and meaning. The only place where a metric is named."""

from exporter.catalog import devices, fds, itself, layers
from exporter.catalog.model import ENDED, Kind, Label, Metric
from probes.taxonomy import SOCKET_KINDS, FdKind

__all__ = [
    "CATALOG",
    "ENDED",
    "SOCKET_KINDS",
    "FdKind",
    "Kind",
    "Label",
    "Metric",
    "devices",
    "fds",
    "itself",
    "layers",
]

CATALOG: tuple[Metric, ...] = tuple(
    value
    for module in (layers, devices, fds, itself)
    for value in vars(module).values()
    if isinstance(value, Metric)
)
