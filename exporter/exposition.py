# SPDX-License-Identifier: GPL-2.0-only
"""Families that were collected, as they go over the wire."""

import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from exporter.negotiation import accepts_gzip, metrics_form

_GZIP_LEVEL = 4


@dataclass(frozen=True, slots=True)
class Exposition:
    """Metrics as they go over the wire."""

    body: bytes
    content_type: str
    encoding: str


@dataclass(frozen=True, slots=True)
class _Collected(Collector):
    families: Sequence[Metric]

    def collect(self) -> Iterator[Metric]:
        """What was collected before."""
        yield from self.families


def expose(families: Sequence[Metric], accept: str, accept_encoding: str) -> Exposition:
    """Encode in the form that the client accepts."""
    encode, content_type = choose_encoder(metrics_form(accept))
    body = encode(_Collected(families))
    if not accepts_gzip(accept_encoding):
        return Exposition(body, content_type, "")
    return Exposition(gzip.compress(body, _GZIP_LEVEL), content_type, "gzip")
