# SPDX-License-Identifier: GPL-2.0-only
"""The journal as metric families."""

from collections.abc import Iterator

from prometheus_client import Metric as Family

from fdscope.exporter.catalog import journal as catalog
from fdscope.exporter.families.build import gauge
from fdscope.exporter.journal.journal import Counts


def journal_families(counts: Counts) -> Iterator[Family]:
    """Events, lost ones, and lines by sink; a reason is there from the start, with 0."""
    yield gauge(catalog.EVENTS, counts.events.items())
    reasons = catalog.EVENTS_LOST.labels[0].values
    yield gauge(
        catalog.EVENTS_LOST, (((reason,), counts.lost.get(reason, 0)) for reason in reasons)
    )
    yield gauge(catalog.EVENT_LINES, (((sink,), n) for sink, n in counts.written.items()))
    yield gauge(catalog.EVENT_LINES_LOST, (((sink,), n) for sink, n in counts.lines_lost.items()))
