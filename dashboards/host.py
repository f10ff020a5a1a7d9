# SPDX-License-Identifier: GPL-2.0-only
"""Host: what goes on here. Bytes, operations, errors, latency by fd type and layer."""

from typing import Any

from grafanalib import core

from dashboards import host_fds, host_processes, style
from dashboards.charts import LEGEND_TABLE, TimeSeries
from dashboards.frame import base_variables, dashboard, fd_type_variable, grid, row
from dashboards.panels import BarGauge, Panel, number
from dashboards.promql import both_rates, differs, rate, top
from dashboards.queries import instant, query
from exporter.catalog import devices, layers

_CHOSEN: dict[str, Any] = {"fd_type": "$fd_type"}
_OPERATIONS = (layers.FILE_READS, layers.FILE_WRITES)
_FAULTS: dict[str, Any] = {"errno": differs("EAGAIN")}


def _stats() -> list[Panel]:
    door_bytes = layers.LEDGER_DOOR_BYTES
    return [
        number(
            "Read",
            "Bytes per second that processes read, of all fd types chosen.",
            rate(door_bytes, direction="received", **_CHOSEN),
            "Bps",
            style.READ,
        ),
        number(
            "Written",
            "Bytes per second that processes write, of all fd types chosen.",
            rate(door_bytes, direction="sent", **_CHOSEN),
            "Bps",
            style.WRITTEN,
        ),
        number(
            "Operations",
            "Operations per second on files that did not fail.",
            both_rates(*_OPERATIONS, **_CHOSEN),
            "iops",
            style.BLUE,
        ),
        number(
            "Errors",
            "Operations per second that failed; EAGAIN, which only means 'nothing there yet', is"
            " not among them.",
            rate(layers.FILE_ERRORS, **_CHOSEN, **_FAULTS),
            "iops",
            style.PURPLE,
            style.BLUE,
        ),
        *host_fds.stats(),
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
        overrides=[*style.colors(colors), style.override_query("B", **style.DOWNWARDS)],
        empty="nothing is read or written",
        rows=9,
    )


def _layers() -> TimeSeries:
    network = (devices.NETWORK_RECEIVED_BYTES, devices.NETWORK_SENT_BYTES)
    blocks = (devices.BLOCK_READ_BYTES, devices.BLOCK_WRITTEN_BYTES)
    return TimeSeries(
        title="Bytes by layer",
        description="Both directions. The file layer holds all; the socket layer is a part of it,"
        " counted by hooks of its own. Network devices count headers too and loopback twice, out"
        " and in; disks count what the page cache lets through.",
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
        (devices.NETWORK_RECEIVED_BYTES, devices.NETWORK_SENT_BYTES),
        (devices.BLOCK_READ_BYTES, devices.BLOCK_WRITTEN_BYTES),
    )
    targets = []
    for index, way in enumerate(("in", "out")):
        both = " or ".join(rate(pair[index], by=("device",)) for pair in sides)
        targets.append(query(f"({both}) > 0", f"{{{{device}}}} {way}"))
    return TimeSeries(
        title="Bytes by device",
        description="What the devices count by themselves: received or read upwards, sent or"
        " written downwards.",
        targets=targets,
        unit="Bps",
        overrides=[style.override_query("B", custom_transform="negative-Y")],
        empty="no device moves anything",
        rows=9,
    )


def _filesystems() -> BarGauge:
    metrics = (devices.FILESYSTEM_READ_BYTES, devices.FILESYSTEM_WRITTEN_BYTES)
    return BarGauge(
        title="Bytes by filesystem",
        description="Bytes per second at the file layer by the filesystem behind the file, read"
        " and written together.",
        targets=[instant(top(10, both_rates(*metrics, by=("filesystem",))), "{{filesystem}}")],
        unit="Bps",
        empty="no file of a filesystem is read or written",
        rows=9,
    )


def host() -> core.Dashboard:
    """The dashboard."""
    operations = TimeSeries(
        title="Operations by fd type",
        description="Operations per second that did not fail, reads and writes together.",
        targets=[query(f"{both_rates(*_OPERATIONS, by=('fd_type',))} > 0", "{{fd_type}}")],
        unit="iops",
        defaults={"min": 0},
        options={"legend": LEGEND_TABLE},
        overrides=style.colors(style.FD_TYPES),
        rows=9,
    )
    by_fd_type = _read_and_written(
        "Bytes by fd type", "Bytes per second by what the fd refers to", "fd_type", style.FD_TYPES
    )
    by_door = _read_and_written(
        "Bytes by door", "Bytes per second by the way into the file layer", "door", style.DOORS
    )
    return dashboard(
        "host",
        "Host",
        "What goes through the files of a host: by fd type, door, layer and process.",
        [*base_variables(), fd_type_variable()],
        grid(
            _stats(),
            [
                row("Fd types and doors", by_fd_type, by_door, operations, host_fds.by_fd_type()),
                row("Layers and devices", _layers(), _devices(), _filesystems(), host_fds.life()),
                row(
                    "Processes",
                    host_processes.busiest("Who reads most", layers.FILE_READ_BYTES, style.READ),
                    host_processes.busiest(
                        "Who writes most", layers.FILE_WRITTEN_BYTES, style.WRITTEN
                    ),
                    host_processes.processes(),
                ),
                row(
                    "Limits and errors",
                    host_fds.limits(
                        "Open fds over RLIMIT_NOFILE, for each name of the process where it is"
                        " highest. At 100 % open() fails with EMFILE.",
                        most=10,
                        rows=9,
                    ),
                    host_fds.host_files(),
                    host_processes.errors("Errors by errno", "errno"),
                    host_processes.errors("Errors by process", "process"),
                ),
                row(
                    "Latency",
                    *host_processes.latency("Reads", layers.FILE_READ_SECONDS),
                    *host_processes.latency("Writes", layers.FILE_WRITE_SECONDS),
                ),
            ],
        ),
    )
