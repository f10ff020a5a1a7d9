# SPDX-License-Identifier: GPL-2.0-only
"""Unusual fd activity: alerts, leaks, new fd types, sockets as stdio, debuggers."""

from typing import Any

from grafanalib import core

from fdscope.dashboards.boards import host
from fdscope.dashboards.boards.socket_is_a_file.ledger import SOCKETS
from fdscope.dashboards.grafana import style
from fdscope.dashboards.grafana.layout import base_variables, dashboard, grid, process_link, row
from fdscope.dashboards.grafana.panels import (
    BARS,
    BarGauge,
    Heatmap,
    Panel,
    StateTimeline,
    Table,
    TimeSeries,
    lines,
)
from fdscope.dashboards.grafana.queries import heatmap_query, instant, query
from fdscope.dashboards.grafana.tables import column_queries, merged, process_column
from fdscope.dashboards.promql.expressions import (
    NOW,
    both_rates,
    buckets,
    differs,
    events,
    highest,
    least_pace,
    named,
    one_of,
    rate,
    select,
    top,
    total,
)
from fdscope.dashboards.promql.prometheus import ALERTS, OURS, UP
from fdscope.exporter.catalog import fds, held, journal, layers, sockets

# Panels about sockets in unusual places, and about taps and debuggers.

_NOT_YET = "not enough data yet: an hour is needed"
_PAST, _LONG = 3600, 300
"""Seconds: how far back the past is, and the window in which the two are compared."""


def too_young(seconds: int, text: str) -> str:
    """A process of this name, as long as no chosen exporter has been scraped for so long."""
    past = f"{select(UP)} offset {seconds}s == 1"
    return named(f"0 * max({select(UP)}) unless on () {past}", "process", f"({text})")


def table_of(
    title: str, description: str, expression: str, by: tuple[str, ...], **more: Any
) -> Table:
    """A table of one query; ``value`` is the title of its number."""
    value = more.pop("value")
    narrow = {"pid": 75, "fd": 45, "fd type": 110, value: 70} if "pid" in by else {}
    return Table(
        title=title,
        description=description,
        targets=column_queries({"it": expression}),
        transformations=merged(by, {"it": value}, sort_by=value),
        overrides=[
            process_column(),
            *(style.override(name, custom_width=width) for name, width in narrow.items()),
        ],
        width=more.pop("width", 12),
        rows=8,
        **more,
    )


def new_fd_types() -> Table:
    """Fd types that a process did not have an hour ago."""
    by = ("process", "fd_type")
    now = f"{total(fds.OPEN_FDS, by=by)} > 0"
    known = f"count by (process, fd_type) ({select(fds.OPEN_FDS)} offset {_PAST}s > 0)"
    old = f"count by (process) ({select(fds.OPEN_FDS)} offset {_PAST}s)"
    return table_of(
        "Fd types new for a process",
        "Processes that an hour ago held no fd of the type and hold one now. Processes that were"
        " not there an hour ago are left out.",
        f"({now} unless on (process, fd_type) {known} and on (process) {old})"
        f" or {named(too_young(_PAST, _NOT_YET), 'fd_type', '-')}",
        by,
        value="open fds",
        empty="no process holds fds of a type that it did not hold an hour ago",
        width=24,
    )


def stdio() -> list[Panel]:
    """Sockets as standard input, output or error."""
    by = ("process", "pid", "fd", "fd_type")
    return [
        table_of(
            "Standard fds that are a socket",
            "Fds 0, 1 and 2 that were a socket at the last census: as of a reverse shell, and of"
            " children of inetd, ssh and systemd's socket units.",
            f"{total(fds.STDIO_FDS, by=by, fd_type=SOCKETS)} > 0",
            by,
            value="open",
            empty="no process has a socket as standard input, output or error",
        ),
        table_of(
            "Sockets put on standard fds",
            "Times in the chosen range that a process put a socket on fd 0, 1 or 2; counted even"
            " if the process ends at once. An empty pid holds the processes that have ended.",
            f"{events(fds.STDIO_SOCKET_EVENTS, by=by, window='$__range')} > 0",
            by,
            value="times",
            empty="no process put a socket on a standard fd",
        ),
    ]


def looks() -> list[Panel]:
    """Passed fds, taps on packets and files, debuggers."""
    shape: dict[str, Any] = {
        "defaults": {"min": 0, "links": [process_link()]},
        "width": 8,
        "rows": 8,
    }
    bars: dict[str, Any] = shape | {"custom": BARS}
    packet = total(fds.OPEN_FDS, by=("process", "fd_type"), fd_type=one_of(("packet", "raw")))
    passed = top(6, events(fds.FDS_PASSED, by=("process", "fd_type", "direction")))
    looks_into = events(fds.DEBUG_ACCESSES, by=("process", "method"))
    groups = total(fds.FANOTIFY_GROUPS, by=("process", "class"))
    tapping = lines(
        "Packet and raw sockets",
        "Open sockets that receive packets of others: captures, DHCP clients, and what hides"
        " among them.",
        query(f"{packet} > 0", "{{process}}: {{fd_type}}"),
        empty="no packet or raw socket is open",
        **shape,
    )
    watching = lines(
        "fanotify groups",
        "Processes that watch the files of the host. Groups of the class permission decide before"
        " an access goes on, and can block every process.",
        query(f"{groups} > 0", "{{process}}: {{class}}"),
        empty="no fanotify group is open",
        **shape,
    )
    return [
        lines(
            "Fds passed between processes",
            "File descriptors sent or received through unix sockets (SCM_RIGHTS): a file changes"
            " hands without being opened. At each moment the six kinds with the most.",
            query(f"{passed} > 0", "{{process}}: {{fd_type}} {{direction}}"),
            empty="no fd was passed",
            **bars,
        ),
        tapping,
        lines(
            "Debugger-like accesses",
            "Accesses of a process to another one (ptrace, pidfd_getfd).",
            query(f"{looks_into} > 0", "{{process}}: {{method}}"),
            empty="no process accessed another one",
            **bars,
        ),
        watching,
        Heatmap(
            title="Waiting for permission",
            description="Time that accesses waited for the answer of a fanotify permission group.",
            targets=[heatmap_query(buckets(fds.FANOTIFY_PERMISSION_SECONDS))],
            unit="s",
            empty="no access needed a permission, or it is not measured: in tracepoint mode,"
            " and in fentry mode before Linux 6.6",
            width=16,
            rows=8,
        ),
    ]


_HOUR, _DAY = 3600, 86400


def _time_left() -> Table:
    """When processes reach the limit on their fds, at their pace."""
    by = ("process", "pid", "unit")
    own: dict[str, Any] = {"pid": differs("")}
    open_fds, limit = (total(metric, by, **own) for metric in (fds.OPEN_FDS, fds.MAX_FDS))

    def left(seconds: int) -> str:
        pace = least_pace(fds.OPEN_FDS, by, seconds, **own)
        return f"({limit} - {open_fds}) / {pace} >= 0"

    # What is quick counts if its end is near: a few fds more in a minute mean nothing.
    both = f"({left(60)} < {_HOUR} or {left(1800)} < {_DAY})"
    columns = {"left": f"bottomk(20, {both})"} | {
        name: f"{expression} and on (process, pid, unit) {both}"
        for name, expression in (("open", open_fds), ("limit", limit))
    }
    titles = {"left": "time left", "open": "open fds", "limit": "fd limit"}
    return Table(
        title="Time to the fd limit, at the pace of the last minute or half hour",
        description="Processes whose open fds grow in each third of the last minute and reach the"
        " limit (RLIMIT_NOFILE) within an hour at the least of these paces; or that grow in each"
        " third of the last half hour and reach it within a day.",
        targets=column_queries(columns),
        transformations=merged(by, titles, sort_by="time left", descending=False),
        unit="short",
        overrides=[
            process_column(),
            style.override("time left", unit="s"),
            style.override("pid", custom_width=75),
        ],
        empty="no process comes near its limit at its pace of the last minute or half hour",
        width=24,
        rows=7,
    )


def _queues() -> list[Panel]:
    shape: dict[str, Any] = {
        "defaults": {"min": 0, "links": [process_link()]},
        "width": 8,
        "rows": 8,
    }
    stays = total(
        sockets.TCP_SOCKETS, by=("process", "state"), state=one_of(("close_wait", "syn_recv"))
    )
    ratio = highest(sockets.LISTEN_RATIO, by=("process",))
    waiting = total(sockets.LISTEN_WAITING, by=("process",))
    return [
        lines(
            "TCP connections that should pass",
            "close_wait: the peer has closed, the program has not, and each holds an fd. syn_recv:"
            " handshakes that are not done. At each moment the eight processes with most.",
            query(top(8, stays), "{{process}}: {{state}}"),
            empty="no TCP connection is in close_wait or syn_recv",
            **shape,
        ),
        lines(
            "Connections that wait for accept",
            "Connections at listening TCP sockets that the program has not accepted yet. At each"
            " moment the eight processes with most.",
            query(top(8, waiting), "{{process}}"),
            empty="no connection waits for accept",
            **shape,
        ),
        lines(
            "Listen queues, share of the backlog",
            "The fullest queue of each process, divided by its backlog: from 100 % on connections"
            " are dropped. At each moment the eight fullest.",
            query(top(8, ratio), "{{process}}"),
            unit="percentunit",
            empty="all listen queues are empty",
            **shape,
        ),
        lines(
            "Bytes that wait to be read",
            "In sockets and pipes, for the process to read them: it is slower than those who write."
            " TCP: bytes; other sockets: memory; pipes: pages. At each moment the eight with most.",
            query(
                top(8, total(held.UNREAD, by=("process", "fd_type"))), "{{process}}: {{fd_type}}"
            ),
            unit="bytes",
            empty="nothing waits to be read",
            **shape,
        ),
        lines(
            "Bytes that wait to be taken",
            "Written by the process, and not taken by the other end, or the network. Measured as in"
            " the panel before. At each moment the eight with most.",
            query(
                top(8, total(held.UNSENT, by=("process", "fd_type"))), "{{process}}: {{fd_type}}"
            ),
            unit="bytes",
            empty="nothing waits to be taken",
            **shape,
        ),
        lines(
            "Space of deleted files",
            "Files without a name hold their space until the last fd is closed: df counts it, du"
            " does not. At each moment the eight processes with most.",
            query(
                top(8, total(held.DELETED_BYTES, by=("process", "device"))),
                "{{process}}: {{device}}",
            ),
            unit="bytes",
            empty="no deleted file is open",
            **shape,
        ),
    ]


_SLOPE, _SETTLED = "30m:1m", "10m"
_BYTES = (layers.FILE_READ_BYTES, layers.FILE_WRITTEN_BYTES)


def _alerts() -> list[Panel]:
    by = ("alertname", "severity", "process", "instance")
    firing = total(ALERTS, by=by, alertstate="firing", **OURS)
    states = {
        "0": {"text": "no alert", "color": style.GREY, "index": 2},
        "1": {"text": "pending", "color": style.WATCH, "index": 0},
        "2": {"text": "firing", "color": style.BAD, "index": 1},
    }
    quiet = named(f"0 * max({select(UP)})", "alertname", "(none)")
    state = (
        f"2 * {highest(ALERTS, by=('alertname',), alertstate='firing', **OURS)}"
        f" or {highest(ALERTS, by=('alertname',), alertstate='pending', **OURS)}"
        f" or on () {quiet}"
    )
    return [
        Table(
            title="Firing now",
            description="Firing alerts of fdscope. The runbook of each says what to do.",
            targets=column_queries({"firing": firing}),
            transformations=merged(by, {"firing": "alerts"}),
            overrides=[process_column(), style.override("alertname", custom_width=260)],
            empty="no alert fires (or Prometheus has no rules of fdscope loaded)",
            width=24,
            rows=8,
        ),
        StateTimeline(
            title="Alerts over time",
            description="When each alert was pending or firing.",
            targets=[query(state, "{{alertname}}")],
            unit="",
            defaults={"mappings": [{"type": "value", "options": states}]},
            empty="no alert was pending or firing",
            width=24,
            rows=8,
        ),
    ]


def _journal() -> list[Panel]:
    shape: dict[str, Any] = {"defaults": {"min": 0}, "rows": 8, "custom": BARS}
    told = top(12, events(journal.EVENTS, by=("kind", "severity")))
    return [
        lines(
            "Events of the journal",
            "Unusual events by kind and severity. On the host `sudo fdscope events --since 1h`"
            " shows each with its process, parents, command line and peer.",
            query(f"{told} > 0", "{{severity}}: {{kind}}"),
            empty="nothing unusual has happened",
            width=16,
            **shape,
        ),
        lines(
            "Events that are not in the journal",
            "Events that were too many (flood, limit) or were not read in time (ring_full).",
            query(
                f"{events(journal.EVENTS_LOST, by=('reason',), reason=differs('own'))} > 0",
                "{{reason}}",
            ),
            empty="no event was lost",
            width=8,
            **shape,
        ),
    ]


def _leaks() -> list[Panel]:
    open_fds = total(fds.OPEN_FDS, by=("process",))
    lives = f"and on (process) count by (process) ({select(fds.OPEN_FDS)} offset {_SETTLED})"
    young = too_young(600, "not enough data yet: ten minutes are needed")
    slope = f"topk(8, deriv(({open_fds})[{_SLOPE}]) * 3600 > 1 {lives}) or {young}"
    growing = f"{open_fds} and on (process) topk(5, deriv(({open_fds})[{_SLOPE}]) > 0 {lives})"
    return [
        BarGauge(
            title="Growing: fds more per hour",
            description="Slope of the open fds over the last half hour, of the eight processes"
            " that grow fastest and are ten minutes old. One that only grows leaks.",
            targets=[instant(slope, "{{process}}")],
            defaults={
                "links": [process_link()],
                "color": {"mode": "fixed", "fixedColor": style.ORANGE},
            },
            empty="no process holds more and more fds",
            width=8,
            rows=8,
        ),
        TimeSeries(
            title="Open fds of those that grow",
            description="The five processes whose open fds grow fastest.",
            targets=[query(growing, "{{process}}")],
            defaults={"min": 0, "links": [process_link()]},
            empty="no process holds more and more fds, or there are no ten minutes of data yet",
            width=8,
            rows=8,
        ),
        host.limits(
            "Open fds divided by RLIMIT_NOFILE. At 100 % open() fails with EMFILE.",
            most=8,
            width=8,
            rows=8,
        ),
    ]


def _spikes() -> list[Panel]:
    now, past = (
        both_rates(*_BYTES, by=("process",), seconds=_LONG, back=back) for back in (0, _PAST)
    )
    errors = rate(layers.FILE_ERRORS, by=("process", "errno"), errno=differs("EAGAIN"))
    return [
        TimeSeries(
            title="Bytes now and an hour before",
            description="All processes together, means of a minute: if the lines diverge, I/O is"
            " not as an hour ago.",
            targets=[
                query(rate(layers.LEDGER_DOOR_BYTES, seconds=NOW), "now"),
                query(rate(layers.LEDGER_DOOR_BYTES, seconds=NOW, back=_PAST), "an hour before"),
            ],
            unit="Bps",
            defaults={"min": 0},
            overrides=[
                style.fixed("now", style.BLUE),
                style.fixed("an hour before", style.GREY),
            ],
            width=8,
            rows=8,
        ),
        table_of(
            "Times as much as an hour before, last five minutes",
            "Processes that in the last five minutes moved at least ten times as many bytes per"
            " second as an hour before, and more than 10 kB/s.",
            f"topk(20, ({now} > 10000) / ({past} > 0) > 10)"
            f" or {too_young(_PAST + _LONG, _NOT_YET)}",
            ("process",),
            value="times",
            empty="no process moves ten times as much as an hour ago",
            width=8,
        ),
        TimeSeries(
            title="Errors by process",
            description="Operations per second that failed, the ten highest of process and errno;"
            " EAGAIN is not among them.",
            targets=[query(top(10, errors), "{{process}}: {{errno}}")],
            unit="ops",
            defaults={"min": 0, "links": [process_link()]},
            empty="no operation has failed",
            width=8,
            rows=8,
        ),
    ]


def unusual() -> core.Dashboard:
    """The dashboard Unusual fd activity."""
    tapping = looks()
    return dashboard(
        "unusual",
        "Unusual fd activity",
        "Alerts, leaks, new fd types, sockets in unusual places, spikes.",
        base_variables(),
        grid(
            _alerts(),
            [
                row("Journal", *_journal()),
                row("Leaks and limits", *_leaks(), _time_left()),
                row("What waits", *_queues()),
                row(
                    "Sockets where there were none",
                    *stdio(),
                    new_fd_types(),
                ),
                row("Taps and debuggers", *tapping),
                row("Compared with the past", *_spikes()),
            ],
        ),
    )
