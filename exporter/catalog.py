# SPDX-License-Identifier: GPL-2.0-only
"""Every metric: its name, kind, labels and meaning. The only place where a metric is named."""

from dataclasses import dataclass
from enum import Enum

from probes.taxonomy import Door, FdType, Layer, Loss, Mode, Scope


class Kind(Enum):
    """Metric types of the exposition formats."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Label:
    """A label and, where its values are a closed set, these values."""

    name: str
    help: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family. ``name`` is the sample's name: a counter's ends in ``_total``."""

    name: str
    kind: Kind
    help: str
    labels: tuple[Label, ...] = ()

    @property
    def family(self) -> str:
        """The name without the suffix that its kind adds."""
        suffix = {Kind.COUNTER: "_total", Kind.INFO: "_info"}.get(self.kind, "")
        return self.name.removesuffix(suffix)

    @property
    def unit(self) -> str:
        """``bytes``, ``seconds`` or "", from the name."""
        last = self.family.rpartition("_")[2]
        return last if last in ("bytes", "seconds") else ""

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the labels, in the order of their values."""
        return tuple(label.name for label in self.labels)


PROCESS = Label("process", "name of the thread-group leader")
PID = Label("pid", "its tgid; empty where processes are summed under their name")
UNIT = Label("unit", "systemd unit or container id, from the cgroup")
FD_TYPE = Label("fd_type", "what the fd refers to", tuple(m.label for m in FdType))
DOOR = Label("door", "how the operation entered the file layer", tuple(m.label for m in Door))
SCOPE = Label("scope", "where the socket's peer is", tuple(m.label for m in Scope))
ERRNO = Label("errno", "name of the error, e.g. EAGAIN")
ENDED = Label(
    "ended",
    "only on sums over processes that had a pid series and have ended: until when (Unix time);"
    " it changes as the sum grows, so that rate() never counts these bytes twice",
)

_OWNER = (PROCESS, PID, UNIT)
FILE_LABELS = (*_OWNER, FD_TYPE, DOOR)
SOCKET_LABELS = (*_OWNER, FD_TYPE, SCOPE)


def _file(name: str, text: str) -> Metric:
    return Metric(f"fdscope_file_{name}_total", Kind.COUNTER, text, FILE_LABELS)


def _socket(name: str, text: str) -> Metric:
    return Metric(f"fdscope_socket_{name}_total", Kind.COUNTER, text, SOCKET_LABELS)


FILE_READS = _file("reads", "Operations that read from a file and did not fail.")
FILE_WRITES = _file("writes", "Operations that wrote to a file and did not fail.")
FILE_READ_BYTES = _file("read_bytes", "Bytes read from files.")
FILE_WRITTEN_BYTES = _file("written_bytes", "Bytes written to files.")
FILE_PEEKED_BYTES = _file(
    "peeked_bytes", "Bytes looked at with MSG_PEEK: they stay in the socket and are not in read."
)
FILE_DUPLICATED_BYTES = _file(
    "duplicated_bytes", "Bytes that tee took from a pipe: they stay there and are not in read."
)
FILE_ERRORS = Metric(
    "fdscope_file_errors_total",
    Kind.COUNTER,
    "Operations on a file that failed; calls that a signal restarts are not among them.",
    (*FILE_LABELS, ERRNO),
)
SOCKET_RECEIVES = _socket("receives", "Receiving operations of the socket layer that succeeded.")
SOCKET_SENDS = _socket("sends", "Sending operations of the socket layer that succeeded.")
SOCKET_RECEIVED_BYTES = _socket("received_bytes", "Bytes that the socket layer gave to processes.")
SOCKET_SENT_BYTES = _socket("sent_bytes", "Bytes that the socket layer took from processes.")
SOCKET_PEEKED_BYTES = _socket("peeked_bytes", "Bytes looked at with MSG_PEEK.")

DIRECTION = Label("direction", "seen from the processes", ("received", "sent"))
_LEDGER = (FD_TYPE, DIRECTION)


def _ledger(name: str, text: str, labels: tuple[Label, ...] = _LEDGER) -> Metric:
    return Metric(f"fdscope_ledger_{name}_bytes_total", Kind.COUNTER, text, labels)


LEDGER_DOOR_BYTES = _ledger(
    "door", "Bytes through the file layer, for the whole host, by door.", (*_LEDGER, DOOR)
)
LEDGER_SOCKET_BYTES = _ledger("socket", "Bytes at the socket layer on sockets of processes.")
LEDGER_KERNEL_BYTES = _ledger("kernel", "Bytes on sockets of the kernel, that have no file.")
LEDGER_BLIND_BYTES = _ledger(
    "blind",
    "Bytes of the doors splice and sendfile from sockets: the kernel moves them past the socket"
    " layer's hooks.",
)
LEDGER_RESIDUAL_BYTES = _ledger(
    "residual",
    "What the socket layer and the doors (blind ones apart) disagree by, and still did three"
    " readings later; 0 if every byte is explained.",
)

FILE_READ_SECONDS = Metric(
    "fdscope_file_read_duration_seconds",
    Kind.HISTOGRAM,
    "Time that reading operations took, waiting included (only with --probe.latency).",
    (FD_TYPE,),
)
FILE_WRITE_SECONDS = Metric(
    "fdscope_file_write_duration_seconds",
    Kind.HISTOGRAM,
    "Time that writing operations took, waiting included (only with --probe.latency).",
    (FD_TYPE,),
)

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
    (Label("mode", "how the probes hang on the kernel", tuple(m.value for m in Mode)),),
)
PROBE_ATTACHED = Metric(
    "fdscope_probe_attached",
    Kind.GAUGE,
    "1 if the hook on the kernel function or tracepoint is attached, 0 if it could not be.",
    (
        Label("layer", "what the hook observes", tuple(m.value for m in Layer)),
        Label("function", "kernel function or raw tracepoint"),
        Label("mode", "how it is attached", tuple(m.value for m in Mode)),
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
    "Time spent in a BPF program, while the kernel counts it; its trampoline is not in it.",
    PROBE_MISSED_RUNS.labels,
)
LOST_UPDATES = Metric(
    "fdscope_lost_updates_total",
    Kind.COUNTER,
    "Updates that found no room where they belong; bytes of counters_full are kept under the"
    " process '(not attributed)'.",
    (Label("reason", "which map was full, or what did not match", tuple(m.label for m in Loss)),),
)
MAP_ENTRIES = Metric(
    "fdscope_map_entries", Kind.GAUGE, "Entries of a BPF map.", (Label("map", "name of the map"),)
)
MAP_CAPACITY = Metric(
    "fdscope_map_capacity_entries",
    Kind.GAUGE,
    "Most entries that a BPF map can hold.",
    MAP_ENTRIES.labels,
)
PROCESSES = Metric(
    "fdscope_processes",
    Kind.GAUGE,
    "Processes that did I/O and are not yet closed, by whether they have series of their own pid.",
    (Label("series", "own pid or summed under the name", ("own", "summed")),),
)
_SELFTEST = (
    DOOR,
    FD_TYPE,
    Label("direction", "seen from the process", ("read", "written")),
    Label("layer", "where it was counted", (Layer.FILE.value, Layer.SOCKET.value)),
)
SELFTEST_EXPECTED_BYTES = Metric(
    "fdscope_selftest_expected_bytes",
    Kind.GAUGE,
    "Known bytes that the self-test moved through the door at start.",
    _SELFTEST,
)
SELFTEST_OBSERVED_BYTES = Metric(
    "fdscope_selftest_observed_bytes",
    Kind.GAUGE,
    "What the probes counted of them.",
    _SELFTEST,
)
SCRAPE_SECONDS = Metric(
    "fdscope_scrape_duration_seconds",
    Kind.GAUGE,
    "Time that the part of the current scrape took.",
    (Label("part", "of a scrape", ("maps", "processes", "metrics")),),
)
SCRAPE_ERRORS = Metric(
    "fdscope_scrape_errors_total",
    Kind.COUNTER,
    "Failures of a part of a scrape; the other parts are exported all the same.",
    SCRAPE_SECONDS.labels,
)

CATALOG: tuple[Metric, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Metric)
)
