# SPDX-License-Identifier: GPL-2.0-only
"""Alerts on single events, from counters of processes that may be gone before a scrape.

The first sample of a counter already holds its first event, and ``increase()`` does not count the
first sample. So the counters are summed by name, which gives series that last as long as the
exporter; a sum that is younger than the exporter's other series counts as a whole.
"""

from fdscope.dashboards.alerting.model import UNUSUAL, Alert, Record
from fdscope.dashboards.alerting.settings import Settings
from fdscope.dashboards.promql.selectors import (
    Where,
    earlier,
    keep,
    like,
    none_of,
    one_of,
    select,
    unlike,
)
from fdscope.exporter.catalog import Metric, fds, health

PRESENT = Record(
    "instance:fdscope_lost_updates_total:group",
    keep("group", health.LOST_UPDATES, (), select(health.LOST_UPDATES)),
)
"""1 while the exporter shows counters. Recorded after the sums, so that it never has more samples
than they have."""


_WHO = "{{ $labels.process }}{{ with $labels.unit }} ({{ . }}){{ end }} on {{ $labels.instance }}"

COPIED = ("fork", "dup")
"""Values of ``birth`` for fds of a file that was open before."""


def _sum(metric: Metric, *labels: str, **where: Where) -> Record:
    level = "_".join(("instance", *labels))
    return Record(
        f"{level}:{metric.name}:sum", keep("sum", metric, labels, select(metric, **where)), labels
    )


STDIO = _sum(fds.STDIO_SOCKET_EVENTS, "process", "unit", "fd_type")
DEBUG = _sum(fds.DEBUG_ACCESSES, "process", "unit", "method")
PASSED = _sum(fds.FDS_PASSED, "process", "fd_type", "direction")


def growth(record: Record, window: str, **where: Where) -> str:
    """Growth of a sum in a window; the whole sum if it is younger than the exporter's others.

    Nothing for an exporter that is new to Prometheus: it may have counted for long.
    """
    return f"""\
(
  increase({select(record, window)}) > 0
  or {record.name} > 0 and
    count_over_time({select(record, window)})
    < on (job, instance) group_left () count_over_time({select(PRESENT, window)})
)
and {select(record, **where)}"""


def rules(settings: Settings) -> tuple[Record | Alert, ...]:
    """The sums and the alerts on them."""
    sniffing = one_of(settings.packet_socket.fd_types)
    opened = _sum(
        fds.FDS_OPENED,
        *("process", "unit", "fd_type"),
        fd_type=sniffing,
        birth=none_of(COPIED),
    )
    alerts = (_stdio(settings), _packet(settings, opened), _debug(settings), _passed(settings))
    return STDIO, opened, DEBUG, PASSED, PRESENT, *alerts


def _stdio(settings: Settings) -> Alert:
    window, stdio, allowed = settings.events.window, settings.stdio, settings.allowed
    grown = growth(STDIO, window, process=like(stdio.processes), fd_type=one_of(stdio.fd_types))
    return Alert(
        "FdscopeShellStdioBecameSocket",
        "critical",
        f"""\
{grown}
unless {select(STDIO, process=like(allowed.stdio_processes))}
unless {select(STDIO, unit=like(allowed.stdio_units))}""",
        "A shell or interpreter put a network socket in the place of its standard input or output.",
        f"{_WHO} put a"
        f" {{{{ $labels.fd_type }}}} socket on fd 0, 1 or 2 in the last {window}: what a reverse"
        " shell does when it starts. The process may have ended since.",
        UNUSUAL,
        STDIO.label_names,
    )


def _packet(settings: Settings, opened: Record) -> Alert:
    window = settings.events.window
    return Alert(
        "FdscopePacketSocketOpened",
        "warning",
        growth(opened, window, process=unlike(settings.allowed.packet_socket)),
        "A program that is not on the list for it opened a packet socket.",
        f"{_WHO} opened a"
        f" {{{{ $labels.fd_type }}}} socket in the last {window}. Through it, a program sees the"
        " frames of all others on the host, and can send any.",
        UNUSUAL,
        opened.label_names,
    )


def _debug(settings: Settings) -> Alert:
    window = settings.events.window
    return Alert(
        "FdscopeDebugAccess",
        "warning",
        growth(DEBUG, window, process=unlike(settings.allowed.debug_access)),
        "A program that is no known debugger accessed another process.",
        f"{_WHO} used"
        f" {{{{ $labels.method }}}} in the last {window}: with it, a program takes file descriptors"
        " from another one, or reads and changes its memory.",
        UNUSUAL,
        DEBUG.label_names,
    )


def _passed(settings: Settings) -> Alert:
    history = settings.history
    name = "on (job, instance, process)"
    strangers = unlike(settings.allowed.fd_receivers)
    grown = growth(PASSED, settings.events.window, process=strangers, direction="received")
    settled = earlier(select(PRESENT, history.recent), history.settle)
    expression = f"""\
{grown}
unless present_over_time({earlier(select(PASSED, history.length), history.recent)})
unless {name} {select(PASSED, direction="sent")}
and on (job, instance) present_over_time({settled})"""
    return Alert(
        "FdscopeFdPassedToStranger",
        "warning",
        expression,
        "A program received a file descriptor from another one for the first time.",
        "{{ $labels.process }} on {{ $labels.instance }} received a {{ $labels.fd_type }} through a"
        f" unix socket (SCM_RIGHTS) in the last {settings.events.window}. In the"
        f" {history.length} before, no process of that name did, and none of that name sends any.",
        UNUSUAL,
        PASSED.label_names,
    )
