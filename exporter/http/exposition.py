# SPDX-License-Identifier: GPL-2.0-only
"""The text of metric families."""

import gzip
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from fdscope.exporter.catalog import health as catalog
from fdscope.exporter.families.build import Block, Table, family, gauge
from fdscope.exporter.http.negotiation import accepts_gzip, metrics_form

_GZIP_LEVEL = 2
"""A third of the time that level 4 takes, for a twelfth more bytes."""
_END = b"# EOF\n"
_EXACT = 2**53
"""Below it a float is the same number."""
_WITH_EXPONENT = 1_000_000
_NEVER_NEGATIVE = frozenset({"counter", "histogram"})

Encode = Callable[[Collector], bytes]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Exposition:
    """An encoded answer: metrics in one of the formats."""

    body: bytes
    content_type: str
    encoding: str


class LeftOut(Collector):
    """Counts the families that were left out of scrapes, and logs each cause once.

    A cause is logged again if the family was complete in between. Not thread-safe.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._causes: dict[str, str] = {}

    def add(self, name: str, error: Exception) -> None:
        """Family ``name`` was left out because of ``error``."""
        self._counts[name] += 1
        cause = type(error).__name__
        if self._causes.get(name) != cause:
            self._causes[name] = cause
            log.error("family %r is left out of the scrape: %s: %s", name, cause, error)

    def complete(self, name: str) -> None:
        """Family ``name`` was complete."""
        if self._causes:
            self._causes.pop(name, None)

    def describe(self) -> list[Metric]:
        """The family, empty."""
        return [family(catalog.FAMILY_ERRORS)]

    def collect(self) -> Iterator[Metric]:
        """One sample per family that was left out: how often."""
        if self._counts:
            yield gauge(catalog.FAMILY_ERRORS, (((name,), n) for name, n in self._counts.items()))


@dataclass(frozen=True, slots=True)
class _Collected(Collector):
    families: Sequence[Metric]

    def collect(self) -> Iterator[Metric]:
        """The families of the collection."""
        yield from self.families


def expose(
    families: Iterable[Metric], accept: str, accept_encoding: str, left_out: LeftOut
) -> Exposition:
    """Encode in the form that the client accepts; leave out families that cannot be encoded."""
    encode, content_type = choose_encoder(metrics_form(accept))
    parts = []
    for each in families:
        try:
            parts.append(encoded(each, encode))
        except Exception as error:
            left_out.add(each.name, error)
        else:
            left_out.complete(each.name)
    end = encode(_Collected(()))
    body = b"".join((*parts, end))
    if not accepts_gzip(accept_encoding):
        return Exposition(body, content_type, "")
    return Exposition(gzip.compress(body, _GZIP_LEVEL), content_type, "gzip")


def encoded(each: Metric, encode: Encode) -> bytes:
    """Encode one family; ValueError or TypeError if it cannot be written, or not truthfully."""
    if isinstance(each, Table):
        head = encode(_Collected([Metric(each.name, each.documentation, each.type, each.unit)]))
        lines = [block.text or _written(block, each.type) for block in each.blocks]
        return head.removesuffix(_END) + b"".join(lines)
    check((sample.value for sample in each.samples), each.type)
    return encode(_Collected([each])).removesuffix(_END)


def _written(block: Block, kind: str) -> bytes:
    """The lines of a block, which keeps them."""
    lines = [
        f"{each.text} {value}.0\n"
        if type(value) is int and 0 <= value < _WITH_EXPONENT
        else f"{each.text} {_checked_number(value, kind)}\n"
        for each, value in zip(block.series, block.values, strict=True)
    ]
    block.text = "".join(lines).encode()
    return block.text


def _checked_number(value: float, kind: str) -> str:
    check((value,), kind)
    return _number(value)


def check(values: Iterable[float], kind: str) -> None:
    """ValueError if one is not a number that a family of this kind can have."""
    least = 0.0 if kind in _NEVER_NEGATIVE else -math.inf
    for value in values:
        # NaN compares as false with everything.
        if value is None or not value >= least:
            raise ValueError(f"{value} is no value of a {kind}")


def _number(value: float) -> str:
    # The result of floatToGoString() for a whole number, in a third of the time.
    if type(value) is int and 0 <= value < _EXACT:
        if 0 <= value < _WITH_EXPONENT:
            return f"{value}.0"
        digits = str(value)
        return f"{f'{digits[0]}.{digits[1:]}'.rstrip('0.')}e+{len(digits) - 1:02}"
    return str(floatToGoString(value))  # type: ignore[no-untyped-call] # the library's
