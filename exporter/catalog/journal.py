# SPDX-License-Identifier: GPL-2.0-only
"""The journal: events, and what was left out of it."""

from fdscope.exporter.catalog.model import Kind, Label, Metric
from fdscope.probes.schema.taxonomy import EventKind

SINK = Label("sink", "where events are written", ("stdout", "file", "journald"))

EVENTS = Metric(
    "fdscope_events_total",
    Kind.COUNTER,
    "Unusual events that were handed to the sinks of the journal.",
    (
        Label(
            "kind",
            "what happened, see docs/events.md",
            tuple(m.label for m in EventKind),
            ambiguous=True,
        ),
        Label("severity", "how unusual it is", ("info", "warning", "critical")),
    ),
)
EVENTS_LOST = Metric(
    "fdscope_events_lost_total",
    Kind.COUNTER,
    "Unusual events that are not in the journal.",
    (
        Label(
            "reason",
            "ring_full: the exporter did not read them in time; flood: above the kernel's limit for"
            " a process or cgroup; limit: above the limit of their unit; own: of the exporter's"
            " self-test; error: a fault of fdscope, see the log",
            ("ring_full", "flood", "limit", "own", "error"),
            ambiguous=True,
        ),
    ),
)
EVENT_LINES = Metric(
    "fdscope_event_lines_total", Kind.COUNTER, "Events written to a sink.", (SINK,)
)
EVENT_LINES_LOST = Metric(
    "fdscope_event_lines_lost_total",
    Kind.COUNTER,
    "Events that a sink did not take: it was slow, full or gone.",
    (SINK,),
)
