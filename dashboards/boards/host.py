# SPDX-License-Identifier: GPL-2.0-only
"""Host: bytes, operations, errors, latency by fd type and layer."""

from typing import Any

from grafanalib import core

from fdscope.dashboards.grafana import style
from fdscope.dashboards.grafana.layout import (
    base_variables,
    dashboard,
    fd_type_variable,
    grid,
    process_link,
    row,
)
from fdscope.dashboards.grafana.panels import (
    LEGEND_TABLE,
    BarGauge,
    Gauge,
    Heatmap,
    Panel,
    Table,
    TimeSeries,
    number,
    stat,
)
from fdscope.dashboards.grafana.queries import heatmap_query, instant, query
from fdscope.dashboards.grafana.tables import bar_column, column_queries, merged, process_column
from fdscope.dashboards.promql.expressions import (
    NOW,
    Matcher,
    both_rates,
    buckets,
    differs,
    highest,
    quantile,
    rate,
    top,
    total,
    with_names,
)
from fdscope.exporter.catalog import Metric, fds, layers, storage

# Panels about the fds of a host: number, types, limits.

NO_CENSUS = "no census yet"
ALL = ", all fd types"
"""End of the title of a panel whose numbers are not by fd type, so cannot follow the variable."""
LIMIT = style.thresholds((style.GOOD, None), (style.WATCH, 0.7), (style.BAD, 0.9))


def stats() -> list[Panel]:
    """Open fds and their limit, for the head of a dashboard."""
    return [
        stat(
            "Open fds",
            "File descriptors open at the last census, of the fd types chosen.",
            total(fds.OPEN_FDS, fd_type="$fd_type"),
            thresholds=style.thresholds((style.BLUE, None)),
            empty=NO_CENSUS,
        ),
        of_limit(
            f"Fd limit{ALL}",
            "Share of their limit (RLIMIT_NOFILE) that open fds use, of the process with the"
            " highest.",
        ),
    ]


def of_limit(title: str, description: str, **where: str) -> Gauge:
    """The highest share of its limit that a process uses."""
    return Gauge(
        title=title,
        description=description,
        targets=[instant(highest(fds.FD_LIMIT_RATIO, **where))],
        unit="percentunit",
        defaults={"min": 0, "max": 1},
        thresholds=LIMIT,
        empty=NO_CENSUS,
        width=4,
        rows=4,
    )


def by_fd_type() -> TimeSeries:
    """Open fds by fd type."""
    return TimeSeries(
        title="Open fds by fd type",
        description="File descriptors open at each census.",
        targets=[query(total(fds.OPEN_FDS, by=("fd_type",), fd_type="$fd_type"), "{{fd_type}}")],
        defaults={"min": 0},
        options={"legend": LEGEND_TABLE},
        overrides=style.colors(style.FD_TYPES),
        empty=NO_CENSUS,
        rows=9,
    )


def lifecycle() -> TimeSeries:
    """Fds opened and closed."""
    opened, closed = "opened", "closed"
    return TimeSeries(
        title="Fds opened and closed",
        description="File descriptors opened and closed, per second. If more are opened than"
        " closed for long, something leaks.",
        targets=[
            query(rate(fds.FDS_OPENED, fd_type="$fd_type"), opened),
            query(rate(fds.FDS_CLOSED, fd_type="$fd_type"), closed),
        ],
        unit="ops",
        defaults={"min": 0},
        overrides=[style.fixed(opened, style.BLUE), style.fixed(closed, style.ORANGE)],
        empty="no fd was opened or closed",
        rows=9,
    )


def limits(
    description: str,
    most: int,
    rows: int,
    width: int = 12,
    title: str = "Nearest to their fd limit",
) -> BarGauge:
    """The processes nearest to their limit."""
    ratio = highest(fds.FD_LIMIT_RATIO, by=("process",))
    return BarGauge(
        title=title,
        description=description,
        targets=[instant(f"topk({most}, {ratio})", "{{process}}")],
        unit="percentunit",
        defaults={
            "min": 0,
            "max": 1,
            "color": {"mode": "thresholds"},
            "links": [process_link()],
        },
        thresholds=LIMIT,
        empty=NO_CENSUS,
        width=width,
        rows=rows,
    )


def host_files() -> TimeSeries:
    """Open files of the kernel, and their share of the limit."""
    by = ("instance",)
    share = f"{highest(fds.HOST_FILES, by=by)} / {highest(fds.HOST_MAX_FILES, by=by)}"
    return TimeSeries(
        title=f"Open files of the host{ALL}",
        description="Open files of the whole kernel (struct file), and on the right axis their"
        " share of the limit (fs.file-max). Several fds can share one file.",
        targets=[
            query(highest(fds.HOST_FILES, by=by), "{{instance}}"),
            query(share, "{{instance}}, of its limit"),
        ],
        defaults={"min": 0},
        overrides=[
            style.override_query(
                "B",
                unit="percentunit",
                max=1,
                custom_axisPlacement="right",
                custom_fillOpacity=0,
                custom_lineStyle={"fill": "dash", "dash": [8, 6]},
            )
        ],
        empty=NO_CENSUS,
        rows=9,
    )


# Panels about the processes of a host, their errors and latency.

_CHOSEN: dict[str, Any] = {"fd_type": "$fd_type"}
_BYTES = (layers.FILE_READ_BYTES, layers.FILE_WRITTEN_BYTES)
_OPERATIONS = (layers.FILE_READS, layers.FILE_WRITES)
_WORTH_A_LINE = Matcher("!~", ".*e-0[89]")
"""No operation takes less than 100 ns: lower buckets would be empty."""
_NO_LATENCY = "not measured: start the exporter with --probe.latency"


def busiest(title: str, metric: Metric, color: str) -> BarGauge:
    """The processes with the most bytes."""
    return BarGauge(
        title=title,
        description="The ten processes with the most bytes per second in the last minute, by name.",
        targets=[instant(top(10, rate(metric, ("process",), NOW, **_CHOSEN)), "{{process}}")],
        unit="Bps",
        defaults={"color": {"mode": "fixed", "fixedColor": color}, "links": [process_link()]},
        empty="no process does",
        rows=10,
    )


def processes() -> Table:
    """The busiest processes, with their rates."""
    by = ("process", "unit")
    columns = {
        "read": rate(layers.FILE_READ_BYTES, by, NOW, **_CHOSEN),
        "written": rate(layers.FILE_WRITTEN_BYTES, by, NOW, **_CHOSEN),
        "operations": both_rates(*_OPERATIONS, by, NOW, **_CHOSEN),
        "errors": rate(layers.FILE_ERRORS, by, NOW, **_CHOSEN),
    }
    busy = f"topk(30, {both_rates(*_BYTES, by, NOW, **_CHOSEN)} > 0)"
    columns = {
        name: f"{expression} and on (process, unit) {busy}" for name, expression in columns.items()
    }
    titles = {name: name for name in columns}
    names = ("container", "namespace", "pod")
    columns["names"] = with_names(busy, *names)
    return Table(
        title="Processes, last minute",
        description="The 30 busiest processes by name and unit, per second. Here errors include"
        " EAGAIN. A name leads to the process. Containers have names with --units.read-state.",
        targets=column_queries(columns),
        transformations=merged((*by, *names), titles, sort_by="read", hide=("Value #names",)),
        unit="Bps",
        overrides=[
            process_column(),
            bar_column("read", color={"mode": "fixed", "fixedColor": style.READ}),
            bar_column("written", color={"mode": "fixed", "fixedColor": style.WRITTEN}),
            style.override("operations", unit="iops"),
            style.override("errors", unit="ops"),
        ],
        width=24,
        rows=10,
    )


def errors(title: str, by: str) -> TimeSeries:
    """Operations that failed, by a label."""
    expression = rate(layers.FILE_ERRORS, by=(by,), **_CHOSEN)
    return TimeSeries(
        title=title,
        description="Operations per second that failed. EAGAIN means that there was nothing to"
        " read or no room to write at that moment, which is normal for a socket.",
        targets=[query(top(10, expression), f"{{{{{by}}}}}")],
        unit="ops",
        defaults={"min": 0},
        empty="no operation has failed",
        rows=9,
    )


def latency(title: str, metric: Metric) -> list[Panel]:
    """Durations of operations, as a heatmap and as a percentile."""
    return [
        Heatmap(
            title=f"{title}: duration",
            description="Operations by duration, waiting for data included: a server that waits for"
            " a request takes long. Only measured with --probe.latency.",
            targets=[heatmap_query(buckets(metric, le=_WORTH_A_LINE, **_CHOSEN))],
            unit="s",
            empty=_NO_LATENCY,
            rows=10,
        ),
        TimeSeries(
            title=f"{title}: 99 % are faster than",
            description="99th percentile of the duration by fd type, waiting included.",
            targets=[query(quantile(0.99, metric, by=("fd_type",), **_CHOSEN), "{{fd_type}}")],
            unit="s",
            custom={"scaleDistribution": {"type": "log", "log": 10}, "fillOpacity": 0},
            overrides=style.colors(style.FD_TYPES),
            empty=_NO_LATENCY,
            rows=10,
        ),
    ]


_FAULTS: dict[str, Any] = {"errno": differs("EAGAIN")}


def _stats() -> list[Panel]:
    door_bytes = layers.LEDGER_DOOR_BYTES
    return [
        number(
            "Read, last minute",
            "Bytes per second that processes read, of all fd types chosen.",
            rate(door_bytes, seconds=NOW, direction="received", **_CHOSEN),
            "Bps",
            style.READ,
        ),
        number(
            "Written, last minute",
            "Bytes per second that processes write, of all fd types chosen.",
            rate(door_bytes, seconds=NOW, direction="sent", **_CHOSEN),
            "Bps",
            style.WRITTEN,
        ),
        number(
            "Operations, last minute",
            "Operations per second on files that did not fail.",
            both_rates(*_OPERATIONS, seconds=NOW, **_CHOSEN),
            "iops",
            style.BLUE,
        ),
        number(
            "Errors, last minute",
            "Operations per second that failed; EAGAIN, which only means that nothing is there yet,"
            " is not among them.",
            rate(layers.FILE_ERRORS, seconds=NOW, **_CHOSEN, **_FAULTS),
            "ops",
            style.PURPLE,
            style.BLUE,
        ),
        *stats(),
    ]


def _read_and_written(title: str, what: str, by: str, colors: dict[str, str]) -> TimeSeries:
    legend = f"{{{{{by}}}}}"
    metric = layers.LEDGER_DOOR_BYTES
    received = rate(metric, by=(by,), direction="received", **_CHOSEN)
    sent = rate(metric, by=(by,), direction="sent", **_CHOSEN)
    return TimeSeries(
        title=title,
        description=f"{what}: read or received upwards, written or sent downwards.",
        targets=[query(f"{received} > 0", legend), query(f"{sent} > 0", legend)],
        unit="Bps",
        custom=style.BOTH_WAYS,
        overrides=[*style.colors(colors), style.override_query("B", **style.DOWNWARDS)],
        empty="nothing is read or written",
        rows=9,
    )


def _layers() -> TimeSeries:
    network = (storage.NETWORK_RECEIVED_BYTES, storage.NETWORK_SENT_BYTES)
    blocks = (storage.BLOCK_READ_BYTES, storage.BLOCK_WRITTEN_BYTES)
    return TimeSeries(
        title=f"Bytes by layer{ALL}",
        description="Both directions. The file layer holds all; the socket layer is a part of it,"
        " counted by separate hooks. Network devices count headers too and loopback twice, out"
        " and in; disks count only what the page cache does not hold.",
        targets=[
            query(rate(layers.LEDGER_DOOR_BYTES), "file layer"),
            query(rate(layers.LEDGER_SOCKET_BYTES), "socket layer"),
            query(both_rates(*network, kind="loopback"), "loopback"),
            query(both_rates(*network, kind="nic"), "network cards"),
            query(both_rates(*blocks), "disks"),
        ],
        unit="Bps",
        defaults={"min": 0},
        overrides=style.colors(style.LAYERS),
        rows=9,
    )


def _devices() -> TimeSeries:
    sides = (
        (storage.NETWORK_RECEIVED_BYTES, storage.NETWORK_SENT_BYTES),
        (storage.BLOCK_READ_BYTES, storage.BLOCK_WRITTEN_BYTES),
    )
    targets = []
    for index, way in enumerate(("in", "out")):
        both = " or ".join(rate(pair[index], by=("device",)) for pair in sides)
        targets.append(query(f"({both}) > 0", f"{{{{device}}}} {way}"))
    return TimeSeries(
        title=f"Bytes by device{ALL}",
        description="The devices' own counters: received or read upwards, sent or written"
        " downwards.",
        targets=targets,
        unit="Bps",
        custom=style.BOTH_WAYS,
        overrides=[style.override_query("B", custom_transform="negative-Y")],
        empty="no device moves anything",
        rows=9,
    )


def _filesystems() -> BarGauge:
    metrics = (storage.FILESYSTEM_READ_BYTES, storage.FILESYSTEM_WRITTEN_BYTES)
    return BarGauge(
        title="Bytes by filesystem, last minute",
        description="Bytes per second at the file layer by the filesystem behind the file, read"
        " and written together.",
        targets=[
            instant(
                top(10, both_rates(*metrics, by=("filesystem",), seconds=NOW, **_CHOSEN)),
                "{{filesystem}}",
            )
        ],
        unit="Bps",
        empty="no file of a filesystem is read or written",
        rows=9,
    )


def host() -> core.Dashboard:
    """The dashboard Host."""
    operations = TimeSeries(
        title="Operations by fd type",
        description="Operations per second that did not fail, reads and writes together.",
        targets=[
            query(f"{both_rates(*_OPERATIONS, by=('fd_type',), **_CHOSEN)} > 0", "{{fd_type}}")
        ],
        unit="iops",
        defaults={"min": 0},
        options={"legend": LEGEND_TABLE},
        overrides=style.colors(style.FD_TYPES),
        rows=9,
    )
    bytes_by_fd_type = _read_and_written(
        "Bytes by fd type", "Bytes per second by what the fd refers to", "fd_type", style.FD_TYPES
    )
    by_door = _read_and_written(
        "Bytes by door", "Bytes per second by system call into the file layer", "door", style.DOORS
    )
    return dashboard(
        "host",
        "Host",
        "Bytes through the files of a host: by fd type, door, layer and process.",
        [*base_variables(), fd_type_variable()],
        grid(
            _stats(),
            [
                row("Fd types and doors", bytes_by_fd_type, by_door, operations, by_fd_type()),
                row("Layers and devices", _layers(), _devices(), _filesystems(), lifecycle()),
                row(
                    "Processes",
                    busiest(
                        "Processes that read most, last minute", layers.FILE_READ_BYTES, style.READ
                    ),
                    busiest(
                        "Processes that write most, last minute",
                        layers.FILE_WRITTEN_BYTES,
                        style.WRITTEN,
                    ),
                    processes(),
                ),
                row(
                    "Limits and errors",
                    limits(
                        "Open fds divided by RLIMIT_NOFILE, for each name of the process with the"
                        " highest. At 100 % open() fails with EMFILE.",
                        most=10,
                        rows=9,
                        title=f"Nearest to their fd limit{ALL}",
                    ),
                    host_files(),
                    errors("Errors by errno", "errno"),
                    errors("Errors by process", "process"),
                ),
                row(
                    "Latency, with --probe.latency",
                    *latency("Reads", layers.FILE_READ_SECONDS),
                    *latency("Writes", layers.FILE_WRITE_SECONDS),
                    collapsed=True,
                ),
            ],
        ),
    )
