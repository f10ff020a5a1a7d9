# SPDX-License-Identifier: GPL-2.0-only
"""Families that were collected, as they go over the wire."""

import gzip
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

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
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # a version in the header that is none
        encode, content_type = choose_encoder("")
    body = encode(_Collected(families))
    if not _accepts_gzip(accept_encoding):
        return Exposition(body, content_type, "")
    return Exposition(gzip.compress(body, _GZIP_LEVEL), content_type, "gzip")


def _accepts_gzip(header: str) -> bool:
    """Tell if an Accept-Encoding header names gzip, and not with a weight of 0."""
    for entry in header.lower().split(","):
        name, _, weight = entry.replace(" ", "").partition(";")
        if name == "gzip":
            return not re.fullmatch(r"q=0(\.0*)?", weight)
    return False
