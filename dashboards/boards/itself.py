# SPDX-License-Identifier: GPL-2.0-only
"""fdscope itself: hooks, self-test, losses, cost."""

from typing import Any

from grafanalib import core

from fdscope.dashboards.boards.socket_is_a_file.ledger import unexplained
from fdscope.dashboards.grafana import style
from fdscope.dashboards.grafana.layout import base_variables, dashboard, grid, row
from fdscope.dashboards.grafana.panels import BARS, BarGauge, Panel, Stat, Table, lines, stat
from fdscope.dashboards.grafana.queries import instant, query
from fdscope.dashboards.grafana.tables import column_queries, merged
from fdscope.dashboards.promql.expressions import growth, highest, rate, select, total
from fdscope.dashboards.promql.prometheus import SCRAPE_SAMPLES, SCRAPE_SECONDS, UP
from fdscope.exporter.catalog import fds
from fdscope.exporter.catalog import health as catalog

# Attach mode and missed runs.


def attach_mode(width: int, rows: int) -> Stat:
    """The mode of each instance."""
    return Stat(
        title="Attach mode",
        description="How fdscope is attached: programs on kernel functions (fentry or kprobe), or,"
        " where neither works, on the tracepoints of all system calls. It takes the best that"
        " works: first fentry, but first kprobe where tasks preempt the kernel (preempt=full or"
        " lazy, and always since Linux 7.0), because there the kernel skips runs of the others.",
        targets=[instant(f"{total(catalog.ATTACH_MODE, by=('mode',))} > 0", "{{mode}}")],
        options={"textMode": "value_and_name", "text": style.SMALL},
        unit="suffix: instance(s)",
        thresholds=style.thresholds((style.BLUE, None)),
        empty="no exporter answers",
        width=width,
        rows=rows,
    )


def missed_runs(width: int, rows: int) -> Stat:
    """Runs that the kernel skipped since the start."""
    return Stat(
        title="Missed runs",
        description="Runs of BPF programs that the kernel skipped since the exporter started,"
        " because the program was already running on that CPU (in kprobe mode: because another did,"
        " or a task was in the middle of reading or writing a BPF map). What they would have"
        " counted is missing. A few are normal; there are many where tasks preempt the kernel,"
        " except in kprobe mode, or with other tracers. The panel below names the programs. Before"
        " Linux 6.7 the kernel does not count what it skips in kprobe mode: there 0 means nothing.",
        targets=[instant(f"sum({select(catalog.PROBE_MISSED_RUNS)})")],
        thresholds=style.thresholds((style.GOOD, None), (style.WATCH, 1)),
        empty="no exporter answers",
        width=width,
        rows=rows,
    )


# Panels about losses and cost.

_NO_STATS = "not counted: sysctl kernel.bpf_stats_enabled=1 makes the kernel count (and cost more)"


def maps() -> BarGauge:
    """Share of the BPF maps that is used."""
    by = ("instance", "map")
    shares = f"{total(catalog.MAP_ENTRIES, by=by)} / {total(catalog.MAP_CAPACITY, by=by)}"
    return BarGauge(
        title="How full the maps are",
        description="Entries of the BPF maps as a share of their capacity, of the fullest instance."
        " When a map is full, updates are summed under the process (not attributed).",
        targets=[instant(f"max by (map) ({shares})", "{{map}}")],
        unit="percentunit",
        defaults={"min": 0, "max": 1, "color": {"mode": "thresholds"}},
        thresholds=style.thresholds((style.GOOD, None), (style.WATCH, 0.7), (style.BAD, 0.9)),
        empty="no exporter answers",
        width=8,
        rows=9,
    )


def map_memory() -> Panel:
    """What the BPF maps take."""
    return lines(
        "Kernel memory of the maps",
        "Memory of the BPF maps in the kernel. It depends on the room for entries and on the number"
        " of processors, and is taken at start.",
        query(total(catalog.MAP_BYTES, by=("instance",)), "{{instance}}"),
        unit="bytes",
        empty="no exporter answers",
        width=8,
    )


def census() -> list[Panel]:
    """Age, duration and coverage of the census of open fds."""
    return [
        lines(
            "Census of fds",
            "Age and duration of the last census of open fds.",
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
    """Differences between census and events."""
    return lines(
        "Drift of the fd accounts",
        "Fds open at the last census, less those open at the first one, less opened plus closed"
        " since: the difference between census and events. In tracepoint mode these are fds that"
        " io_uring opened or closed, because no system call shows them; in all modes those of a"
        " table that processes share and an exec splits; docs/blind-spots.md lists what"
        " else no event shows.",
        query(f"{total(fds.FD_DRIFT, by=('fd_type',))} != 0", "{{fd_type}}"),
        defaults={},
        overrides=style.colors(style.FD_TYPES),
        empty="census and events agree",
        width=16,
    )


def cost() -> list[Panel]:
    """Cost of scrapes and probes."""
    parts = total(catalog.SCRAPE_SECONDS, by=("part",))
    runs, seconds = (
        rate(metric, by=("program",)) for metric in (catalog.PROBE_RUNS, catalog.PROBE_RUN_SECONDS)
    )
    counted = lines(
        "Series",
        "Samples of the exporters, and on the right axis processes, by whether they have"
        " a series with their pid.",
        query(total(SCRAPE_SAMPLES), "samples"),
        query(total(catalog.PROCESSES, by=("series",)), "processes, {{series}}"),
        overrides=[style.override_query("B", custom_axisPlacement="right")],
        empty="no exporter answers",
        width=8,
    )
    return [
        lines(
            "Time of a scrape by part",
            "Work of the exporter while Prometheus waits.",
            query(parts, "{{part}}"),
            query(highest(SCRAPE_SECONDS), "as Prometheus sees it"),
            unit="s",
            empty="no exporter answers",
            width=8,
        ),
        counted,
        lines(
            "Processor time in probes",
            "Share of one processor that each BPF program takes, without its trampoline.",
            query(f"topk(10, {seconds})", "{{program}}"),
            unit="percentunit",
            empty=_NO_STATS,
            width=8,
        ),
        lines(
            "Runs of probes",
            "Runs of each BPF program per second.",
            query(f"topk(10, {runs})", "{{program}}"),
            unit="ops",
            empty=_NO_STATS,
            width=8,
        ),
    ]


def losses() -> list[Panel]:
    """Lost updates, missed runs and errors."""
    bars: dict[str, Any] = {"custom": BARS | {"axisSoftMax": 1}, "width": 8}
    return [
        lines(
            "Lost updates by reason",
            "Updates lost because a BPF map was full or an event could not be matched.",
            query(growth(catalog.LOST_UPDATES, by=("reason",)), "{{reason}}"),
            empty="no exporter answers",
            **bars,
        ),
        lines(
            "Missed runs",
            "Runs of each BPF program that the kernel skipped: it starts none inside itself, nor a"
            " kprobe program inside another. What they would have counted is missing. The alert"
            " FdscopeMissedRuns fires at one for a thousand operations; its runbook says what to"
            " do.",
            query(f"{growth(catalog.PROBE_MISSED_RUNS, by=('program',))} > 0", "{{program}}"),
            empty="no run was missed in the chosen time",
            **bars,
        ),
        lines(
            "Errors of scrapes",
            "Parts of a scrape that failed; the other parts were exported.",
            query(growth(catalog.SCRAPE_ERRORS, by=("part",)), "{{part}}"),
            empty="no exporter answers",
            **bars,
        ),
    ]


_ZERO_IS_GOOD = style.thresholds((style.GOOD, None), (style.BAD, 1))


def _stats() -> list[Panel]:
    size: dict[str, Any] = {"width": 6, "rows": 3}
    missing = f"count({select(catalog.PROBE_ATTACHED)} == 0) or 0 * max({select(catalog.BUILD)})"
    expected, observed = catalog.SELFTEST_EXPECTED_BYTES, catalog.SELFTEST_OBSERVED_BYTES
    wrong = f"count({select(expected)} != {select(observed)}) or 0 * max({select(catalog.BUILD)})"
    return [
        attach_mode(width=12, rows=3),
        stat(
            "Hooks missing",
            "Hooks that could not be attached. The table below names them.",
            missing,
            thresholds=_ZERO_IS_GOOD,
            empty="no exporter answers",
            **size,
        ),
        stat(
            "Self-test wrong",
            "At its start the exporter moves known bytes through the doors; a row is wrong if the"
            " probes counted other numbers.",
            wrong,
            thresholds=_ZERO_IS_GOOD,
            empty="no exporter answers",
            **size,
        ),
        unexplained(width=6, rows=3),
        stat(
            "Lost updates",
            "Updates since the start that a full map or an unmatched event lost. The bytes of a"
            " full map of counters are kept under the process (not attributed).",
            f"sum({select(catalog.LOST_UPDATES)})",
            thresholds=_ZERO_IS_GOOD,
            empty="no exporter answers",
            **size,
        ),
        missed_runs(width=6, rows=3),
        stat(
            "Last scrape took",
            "Duration of the last scrape of the slowest instance.",
            highest(SCRAPE_SECONDS),
            unit="s",
            thresholds=style.thresholds((style.GOOD, None), (style.WATCH, 1), (style.BAD, 5)),
            empty="not scraped",
            **size,
        ),
    ]


def _hooks() -> Table:
    by = ("instance", "layer", "function", "mode")
    states = {
        "0": {"text": "not attached", "color": style.BAD, "index": 0},
        "1": {"text": "attached", "color": style.GOOD, "index": 1},
    }
    return Table(
        title="Hooks",
        description="The hooks on the kernel, those that are not attached first: what they would"
        " count is not counted.",
        targets=column_queries({"state": highest(catalog.PROBE_ATTACHED, by=by)}),
        transformations=merged(by, {"state": "state"}, sort_by="state", descending=False),
        overrides=[
            style.override(
                "state",
                mappings=[{"type": "value", "options": states}],
                custom_cellOptions={"type": "color-text"},
            ),
        ],
        empty="no exporter answers",
        width=24,
        rows=8,
    )


def _selftest() -> Table:
    by = ("door", "fd_type", "direction", "layer")
    columns = {
        "expected": total(catalog.SELFTEST_EXPECTED_BYTES, by=by),
        "observed": total(catalog.SELFTEST_OBSERVED_BYTES, by=by),
    }
    columns["difference"] = f"{columns['observed']} - {columns['expected']}"
    titles = {name: name for name in columns}
    return Table(
        title="Self-test per door",
        description="Known bytes that went through each door at the start of the exporter, and how"
        " many the probes counted, summed over the instances.",
        targets=column_queries(columns),
        transformations=merged(by, titles),
        unit="decbytes",
        overrides=[
            style.override(
                "difference",
                thresholds={
                    "mode": "absolute",
                    "steps": style.thresholds((style.BAD, None), (style.GOOD, 0), (style.BAD, 1)),
                },
                custom_cellOptions={"type": "color-text"},
            ),
        ],
        empty="no self-test was run: the exporter was started without it, or does not answer",
        width=24,
        rows=8,
    )


def _builds() -> Table:
    by = ("instance", "version", "kernel", "python")
    states = {
        "0": {"text": "no", "color": style.BAD, "index": 0},
        "1": {"text": "yes", "color": style.GOOD, "index": 1},
    }
    return Table(
        title="Builds",
        description="Versions of fdscope, Python and the kernel, and whether the exporter answers.",
        targets=column_queries(
            {"info": total(catalog.BUILD, by=by), "up": total(UP, by=("instance",))}
        ),
        transformations=merged(by, {"info": "builds", "up": "answers"}, hide=("Value #info",)),
        overrides=[
            style.override(
                "answers",
                mappings=[{"type": "value", "options": states}],
                custom_cellOptions={"type": "color-text"},
            ),
        ],
        empty="no exporter answers",
        width=24,
        rows=5,
    )


def itself() -> core.Dashboard:
    """The dashboard fdscope itself."""
    runs_on, *lost = _builds(), *losses()
    return dashboard(
        "itself",
        "fdscope itself",
        "What is attached, what was lost, what it costs: whether the other dashboards can be"
        " trusted.",
        base_variables(),
        grid(
            _stats(),
            [
                row("What is attached, and does it fire", _hooks(), _selftest()),
                row("Losses", *lost, maps(), *census()),
                row("Cost", *cost(), map_memory(), drift(), runs_on),
            ],
        ),
    )
