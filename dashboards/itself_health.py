# SPDX-License-Identifier: GPL-2.0-only
"""Panels about what fdscope loses and costs."""

from typing import Any

from dashboards import style
from dashboards.charts import BARS, lines
from dashboards.panels import BarGauge, Panel
from dashboards.prometheus import SCRAPE_SAMPLES, SCRAPE_SECONDS
from dashboards.promql import growth, highest, rate, total
from dashboards.queries import instant, query
from exporter.catalog import fds
from exporter.catalog import itself as catalog

_NO_STATS = "not counted: sysctl kernel.bpf_stats_enabled=1 makes the kernel count (and cost more)"


def maps() -> BarGauge:
    """How full the BPF maps are."""
    by = ("instance", "map")
    shares = f"{total(catalog.MAP_ENTRIES, by=by)} / {total(catalog.MAP_CAPACITY, by=by)}"
    return BarGauge(
        title="How full the maps are",
        description="Entries of the BPF maps over the most that they hold, of the fullest instance."
        " Past that, updates are summed under the process (not attributed).",
        targets=[instant(f"max by (map) ({shares})", "{{map}}")],
        unit="percentunit",
        defaults={"min": 0, "max": 1, "color": {"mode": "thresholds"}},
        thresholds=style.thresholds((style.GOOD, None), (style.WATCH, 0.7), (style.BAD, 0.9)),
        empty="no exporter answers",
        width=8,
        rows=9,
    )


def census() -> list[Panel]:
    """How the census of open fds goes."""
    return [
        lines(
            "Census of fds",
            "How old the last census of open fds is, and how long it took.",
            query(highest(fds.CENSUS_AGE_SECONDS), "age"),
            query(highest(fds.CENSUS_SECONDS), "duration"),
            unit="s",
            empty="no census of fds yet",
            width=8,
        ),
        lines(
            "Processes of the census",
            "Processes whose fds could be read, and those whose could not.",
            query(total(fds.CENSUS_PROCESSES, by=("state",)), "{{state}}"),
            empty="no census of fds yet",
            width=8,
        ),
    ]


def drift() -> Panel:
    """Where census and events disagree."""
    return lines(
        "Drift of the fd accounts",
        "Open at the last census less those open at the first one, less opened plus closed since:"
        " fds that the census and the events do not agree about. In tracepoint mode that are those"
        " that io_uring opened or closed, for no system call tells of them, in all modes those of a"
        " table that processes share and an exec splits; docs/blind-spots.md says what"
        " else no event tells.",
        query(f"{total(fds.FD_DRIFT, by=('fd_type',))} != 0", "{{fd_type}}"),
        defaults={},
        overrides=style.colors(style.FD_TYPES),
        empty="census and events agree",
        width=16,
    )


def cost() -> list[Panel]:
    """What scrapes and probes take."""
    parts = total(catalog.SCRAPE_SECONDS, by=("part",))
    runs, seconds = (
        rate(metric, by=("program",)) for metric in (catalog.PROBE_RUNS, catalog.PROBE_RUN_SECONDS)
    )
    counted = lines(
        "Series",
        "Samples that the exporters give, and on the right axis processes, by whether they have"
        " series of their own.",
        query(total(SCRAPE_SAMPLES), "samples"),
        query(total(catalog.PROCESSES, by=("series",)), "processes, {{series}}"),
        overrides=[style.override_query("B", custom_axisPlacement="right")],
        empty="no exporter answers",
        width=8,
    )
    return [
        lines(
            "Time of a scrape by part",
            "What the exporter does while Prometheus waits.",
            query(parts, "{{part}}"),
            query(highest(SCRAPE_SECONDS), "as Prometheus sees it"),
            unit="s",
            empty="no exporter answers",
            width=8,
        ),
        counted,
        lines(
            "Processor time in probes",
            "Share of one processor that each BPF program takes, its trampoline not included.",
            query(f"topk(10, {seconds})", "{{program}}"),
            unit="percentunit",
            empty=_NO_STATS,
            width=8,
        ),
        lines(
            "Runs of probes",
            "How often each BPF program runs in a second.",
            query(f"topk(10, {runs})", "{{program}}"),
            unit="ops",
            empty=_NO_STATS,
            width=8,
        ),
    ]


def losses() -> list[Panel]:
    """What was not counted where it belongs."""
    bars: dict[str, Any] = {"custom": BARS | {"axisSoftMax": 1}, "width": 8}
    return [
        lines(
            "Lost updates by reason",
            "Updates that found no room where they belong.",
            query(growth(catalog.LOST_UPDATES, by=("reason",)), "{{reason}}"),
            empty="no exporter answers",
            **bars,
        ),
        lines(
            "Missed runs",
            "Runs of each BPF program that the kernel skipped: it starts none inside itself, nor a"
            " kprobe program inside another. What they would have counted is missing. The alert"
            " FdscopeMissedRuns fires at one for a thousand operations; its runbook tells what to"
            " do.",
            query(f"{growth(catalog.PROBE_MISSED_RUNS, by=('program',))} > 0", "{{program}}"),
            empty="no run was missed in the chosen time",
            **bars,
        ),
        lines(
            "Errors of scrapes",
            "Parts of a scrape that failed; the other parts were given all the same.",
            query(growth(catalog.SCRAPE_ERRORS, by=("part",)), "{{part}}"),
            empty="no exporter answers",
            **bars,
        ),
    ]
