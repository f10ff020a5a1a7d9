# SPDX-License-Identifier: GPL-2.0-only
"""The types of the thresholds and allow-lists; their defaults are in defaults.toml."""

from dataclasses import dataclass, fields

from fdscope.dashboards.alerting.duration import Duration

SEVERITIES = ("critical", "warning", "info")
OFF = "off"


@dataclass(frozen=True, slots=True)
class Links:
    """Beginnings of the URLs in annotations."""

    runbooks: str
    grafana: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Intervals of the evaluation, and window of the rates."""

    interval: Duration
    fast_interval: Duration
    history_interval: Duration
    rate: Duration


@dataclass(frozen=True, slots=True)
class History:
    """The past with which the present is compared."""

    length: Duration
    recent: Duration
    settle: Duration


@dataclass(frozen=True, slots=True)
class Events:
    """Single events."""

    window: Duration


@dataclass(frozen=True, slots=True)
class FdLeak:
    """A process whose open fds grow towards its limit."""

    window: Duration
    short_window: Duration
    horizon: Duration
    hold: Duration
    min_open: int
    min_growth: int
    slow_window: Duration
    slow_step: Duration


@dataclass(frozen=True, slots=True)
class FdLimit:
    """A process near its limit."""

    ratio: float
    hold: Duration
    min_limit: int


@dataclass(frozen=True, slots=True)
class Pace:
    """Growth in every step of a window, and how near the limit is at the least of these paces."""

    window: Duration
    step: Duration
    left: Duration
    ahead: Duration


@dataclass(frozen=True, slots=True)
class FdLimitSoon:
    """A process that reaches its limit within minutes."""

    ratio: float
    fast: Pace
    steady: Pace


@dataclass(frozen=True, slots=True)
class FdRefused:
    """Calls that are refused because no fd is free."""

    window: Duration


@dataclass(frozen=True, slots=True)
class FdLeakRestarts:
    """Processes that run out of fds, end and start again."""

    window: Duration
    ratio: float
    times: int


@dataclass(frozen=True, slots=True)
class Staying:
    """TCP sockets that stay in a state that should pass."""

    window: Duration
    min_sockets: int


@dataclass(frozen=True, slots=True)
class DeletedFiles:
    """Space of files without a name that a process holds all that time."""

    window: Duration
    min_bytes: int


@dataclass(frozen=True, slots=True)
class ListenQueue:
    """Listening sockets whose queue is full, or near that while they drop connections."""

    ratio: float
    window: Duration
    hold: Duration


@dataclass(frozen=True, slots=True)
class HostFiles:
    """The host near its limit."""

    ratio: float
    hold: Duration


@dataclass(frozen=True, slots=True)
class Stdio:
    """Processes, and sockets that they must not have as their stdio."""

    processes: tuple[str, ...]
    fd_types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PacketSocket:
    """Fd types that receive what others send."""

    fd_types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Io:
    """Bytes per second against the last hour and the same hour of past days."""

    min_bytes: int
    spike_factor: float
    collapse_ratio: float
    hold: Duration
    hour: Duration
    day: Duration
    days: int


@dataclass(frozen=True, slots=True)
class Errors:
    """Operations that fail, as a share of all."""

    ratio: float
    min_rate: float
    hold: Duration
    ignore: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exporter:
    """Time without answers, and without counts."""

    down: Duration
    silent: Duration
    hold: Duration
    window: Duration


@dataclass(frozen=True, slots=True)
class Ledger:
    """Tolerated residual of the ledger."""

    residual_bytes: int
    residual_ratio: float


@dataclass(frozen=True, slots=True)
class Probes:
    """Tolerated losses of the probes."""

    modes: tuple[str, ...]
    missed_ratio: float
    map_ratio: float
    lost_updates: int


@dataclass(frozen=True, slots=True)
class Census:
    """Tolerated age of the census of open fds."""

    max_age: Duration


@dataclass(frozen=True, slots=True)
class Allow:
    """Names that alerts leave out."""

    stdio_processes: tuple[str, ...]
    stdio_units: tuple[str, ...]
    packet_socket: tuple[str, ...]
    debug_access: tuple[str, ...]
    fd_receivers: tuple[str, ...]
    fd_refused: tuple[str, ...]
    new_fd_type: tuple[str, ...]
    io: tuple[str, ...]
    errors: tuple[str, ...]

    def plus(self, more: "Allow") -> "Allow":
        """The union of both."""
        return Allow(*(getattr(self, f.name) + getattr(more, f.name) for f in fields(self)))


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings; the field names are the keys of the file, with ``_`` for ``-``."""

    job: str
    links: Links
    evaluation: Evaluation
    history: History
    events: Events
    fd_leak: FdLeak
    fd_limit: FdLimit
    fd_limit_soon: FdLimitSoon
    fd_refused: FdRefused
    fd_leak_restarts: FdLeakRestarts
    host_files: HostFiles
    close_wait: Staying
    syn_recv: Staying
    listen_queue: ListenQueue
    deleted_files: DeletedFiles
    stdio: Stdio
    packet_socket: PacketSocket
    io: Io
    errors: Errors
    exporter: Exporter
    ledger: Ledger
    probes: Probes
    census: Census
    allow: Allow
    also_allow: Allow
    severity: dict[str, str]

    @property
    def allowed(self) -> Allow:
        """The allow-lists with the user's additions."""
        return self.allow.plus(self.also_allow)
