# SPDX-License-Identifier: GPL-2.0-only
"""Filesystems and devices as metric families."""

from collections.abc import Iterator, Mapping

from prometheus_client import Metric as Family

from fdscope.exporter.accounts.stacks import Chain
from fdscope.exporter.catalog import storage as catalog
from fdscope.exporter.families.build import gauge
from fdscope.probes.schema.taxonomy import Account, FdType


def filesystem_families(
    filesystems: Mapping[tuple[str, FdType, Account], int],
) -> Iterator[Family]:
    """Bytes of the file layer by filesystem."""
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


Counts = Mapping[tuple[str, ...], tuple[int, int]]
"""(Bytes in, bytes out) by label values."""


def network_families(counts: Counts) -> Iterator[Family]:
    """Bytes in and out of every network device."""
    yield gauge(catalog.NETWORK_RECEIVED_BYTES, ((key, n) for key, (n, _) in counts.items()))
    yield gauge(catalog.NETWORK_SENT_BYTES, ((key, n) for key, (_, n) in counts.items()))


def block_families(counts: Counts) -> Iterator[Family]:
    """Bytes in and out of every block device."""
    yield gauge(catalog.BLOCK_READ_BYTES, ((key, n) for key, (n, _) in counts.items()))
    yield gauge(catalog.BLOCK_WRITTEN_BYTES, ((key, n) for key, (_, n) in counts.items()))
