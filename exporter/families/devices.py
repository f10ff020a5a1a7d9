# SPDX-License-Identifier: GPL-2.0-only
"""What lies behind the file as metric families: filesystems and devices."""

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import Metric as Family

from exporter.catalog import devices as catalog
from exporter.devices import BlockDevice, NetworkDevice
from exporter.families.build import gauge
from exporter.stacks import Chain
from probes.taxonomy import Account, FdType


def filesystem_families(
    filesystems: Mapping[tuple[str, FdType, Account], int],
) -> Iterator[Family]:
    """Bytes of the file layer by what is behind the file."""
    for metric, direction in (
        (catalog.FILESYSTEM_READ_BYTES, Account.FILE_READ),
        (catalog.FILESYSTEM_WRITTEN_BYTES, Account.FILE_WRITE),
    ):
        yield gauge(
            metric,
            (
                ((filesystem, fd_type.label), count)
                for (filesystem, fd_type, account), count in filesystems.items()
                if account is direction
            ),
        )


def stack_families(chains: Mapping[Chain, int]) -> Iterator[Family]:
    """Sampled call chains; nothing if none are sampled."""
    if chains:
        yield gauge(
            catalog.SOCKET_STACKS,
            (((c.fd_type.label, c.direction, c.path), count) for c, count in chains.items()),
        )


def network_families(devices: Sequence[NetworkDevice]) -> Iterator[Family]:
    """Bytes in and out of every network device."""
    yield gauge(catalog.NETWORK_RECEIVED_BYTES, (((d.name, d.kind), d.received) for d in devices))
    yield gauge(catalog.NETWORK_SENT_BYTES, (((d.name, d.kind), d.sent) for d in devices))


def block_families(devices: Sequence[BlockDevice]) -> Iterator[Family]:
    """Bytes in and out of every block device."""
    yield gauge(catalog.BLOCK_READ_BYTES, (((d.name,), d.read) for d in devices))
    yield gauge(catalog.BLOCK_WRITTEN_BYTES, (((d.name,), d.written) for d in devices))
