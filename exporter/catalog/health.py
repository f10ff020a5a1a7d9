# SPDX-License-Identifier: GPL-2.0-only
"""fdscope itself: what is attached, what was lost, what it costs, its self-test."""

from fdscope.exporter.catalog.model import DOOR, FD_TYPE, Kind, Label, Metric
from fdscope.probes.schema.taxonomy import Layer, Loss, Mode

MODE = Label("mode", "how the probes are attached", tuple(m.value for m in Mode))

BUILD = Metric(
    "fdscope_build_info",
    Kind.INFO,
    "Always 1: the version of fdscope, of Python and of the kernel.",
    (
        Label("version", "of fdscope"),
        Label("python", "of the interpreter"),
        Label("kernel", "release of the running kernel"),
    ),
)
ATTACH_MODE = Metric(
    "fdscope_attach_mode",
    Kind.GAUGE,
    "1 for the attach mode in use, 0 for the others.",
    (MODE,),
)
ATTACH_MODE_RANK = Metric(
    "fdscope_attach_mode_rank",
    Kind.GAUGE,
    "Rank of the attach mode on this kernel: 1 is the best and is tried first.",
    ATTACH_MODE.labels,
)
PROBE_ATTACHED = Metric(
    "fdscope_probe_attached",
    Kind.GAUGE,
    "1 if the hook on the kernel function or tracepoint is attached, 0 if it could not be.",
    (
        Label("layer", "what the hook observes", tuple(m.value for m in Layer), ambiguous=True),
        Label("function", "kernel function or raw tracepoint"),
        MODE,
    ),
)
PROBE_MISSED_RUNS = Metric(
    "fdscope_probe_missed_runs_total",
    Kind.COUNTER,
    "Runs of a BPF program that the kernel skipped because of recursion.",
    (Label("program", "name of the BPF program"),),
)
PROBE_RUNS = Metric(
    "fdscope_probe_runs_total",
    Kind.COUNTER,
    "Runs of a BPF program, while the kernel counts them (sysctl kernel.bpf_stats_enabled=1).",
    PROBE_MISSED_RUNS.labels,
)
PROBE_RUN_SECONDS = Metric(
    "fdscope_probe_run_seconds_total",
    Kind.COUNTER,
    "Time spent in a BPF program, while the kernel counts it; without its trampoline.",
    PROBE_MISSED_RUNS.labels,
)
LOST_UPDATES = Metric(
    "fdscope_lost_updates_total",
    Kind.COUNTER,
    "Updates lost because a map was full (the bytes of counters_full are kept under the process"
    " '(not attributed)'), a call was not matched, or memory of a program could not be read.",
    (
        Label(
            "reason",
            "which map was full, or what was missing",
            tuple(m.label for m in Loss),
            ambiguous=True,
        ),
    ),
)
MAP_ENTRIES = Metric(
    "fdscope_map_entries", Kind.GAUGE, "Entries of a BPF map.", (Label("map", "name of the map"),)
)
MAP_CAPACITY = Metric(
    "fdscope_map_capacity_entries",
    Kind.GAUGE,
    "Capacity of a BPF map, in entries.",
    MAP_ENTRIES.labels,
)
MAP_BYTES = Metric(
    "fdscope_map_bytes",
    Kind.GAUGE,
    "Kernel memory of a BPF map, over all processors. It is taken at start and does not grow.",
    MAP_ENTRIES.labels,
)
PROCESSES = Metric(
    "fdscope_processes",
    Kind.GAUGE,
    "Processes that did I/O and still have entries, by whether they have series of their pid.",
    (Label("series", "of the pid, or summed under the name", ("own", "summed")),),
)
_SELFTEST = (
    DOOR,
    FD_TYPE,
    Label("direction", "what the process did", ("read", "written"), ambiguous=True),
    Label(
        "layer",
        "where the bytes were counted",
        (Layer.FILE.value, Layer.SOCKET.value),
        ambiguous=True,
    ),
)
SELFTEST_EXPECTED_BYTES = Metric(
    "fdscope_selftest_expected_bytes",
    Kind.GAUGE,
    "Known bytes that the last self-test moved through the door.",
    _SELFTEST,
)
SELFTEST_OBSERVED_BYTES = Metric(
    "fdscope_selftest_observed_bytes",
    Kind.GAUGE,
    "Bytes of the last self-test that the probes counted.",
    _SELFTEST,
)
_PARTS = ("maps", "units", "processes", "devices", "fds", "metrics")
SCRAPE_SECONDS = Metric(
    "fdscope_scrape_duration_seconds",
    Kind.GAUGE,
    "Duration of a part of this scrape.",
    (Label("part", "of a scrape", _PARTS, ambiguous=True),),
)
SCRAPE_ERRORS = Metric(
    "fdscope_scrape_errors_total",
    Kind.COUNTER,
    "Failures of a part of a scrape, or of a census between scrapes; the other parts are exported"
    " nevertheless.",
    (Label("part", "of a scrape, or the census", (*_PARTS, "census"), ambiguous=True),),
)
FAMILY_ERRORS = Metric(
    "fdscope_family_errors_total",
    Kind.COUNTER,
    "Times that a family of metrics was left out of a scrape, or of the page, because it could not"
    " be written; the others are exported. The log has the reason.",
    (Label("family", "name of the family without the suffix of its kind"),),
)
SERIES = Metric("fdscope_series", Kind.GAUGE, "Series of this scrape.")
MAX_SERIES = Metric(
    "fdscope_max_series",
    Kind.GAUGE,
    "Limit on the series of a scrape (--metrics.max-series); what exceeds it is summed.",
)
SERIES_FOLDED = Metric(
    "fdscope_series_folded_total",
    Kind.COUNTER,
    "Times that amounts were added to a sum because there was no room for separate series.",
    (
        Label(
            "rule",
            "what was summed: errors beyond the series of their owner, or with an errno that has no"
            " name; a process that lost or did not get series of its pid; names for which there"
            " was no room; names whose processes have ended",
            ("errno", "process", "name", "ended_name"),
        ),
    ),
)
