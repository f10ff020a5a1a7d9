# SPDX-License-Identifier: GPL-2.0-only
"""Panels about the fds of a host: how many, of what, against which limit."""

from dashboards import style
from dashboards.charts import LEGEND_TABLE, TimeSeries
from dashboards.frame import process_link
from dashboards.panels import BarGauge, Gauge, Panel, stat
from dashboards.promql import highest, rate, total
from dashboards.queries import instant, query
from exporter.catalog import fds

NO_CENSUS = "no census yet"
LIMIT = style.thresholds((style.GOOD, None), (style.WATCH, 0.7), (style.BAD, 0.9))


def stats() -> list[Panel]:
    """Two numbers for the head of a dashboard."""
    return [
        stat(
            "Open fds",
            "File descriptors open at the last census, of the fd types chosen.",
            total(fds.OPEN_FDS, fd_type="$fd_type"),
            thresholds=style.thresholds((style.BLUE, None)),
            empty=NO_CENSUS,
        ),
        of_limit(
            "Fd limit",
            "Open fds over their limit (RLIMIT_NOFILE), of the process where it is highest.",
        ),
    ]


def of_limit(title: str, description: str, **where: str) -> Gauge:
    """The share of its limit that a process holds, of the one where it is highest."""
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


def life() -> TimeSeries:
    """How many come to be and end."""
    opened, closed = "opened", "closed"
    return TimeSeries(
        title="Fds that come and go",
        description="File descriptors that came to be and that ended, per second. If more are"
        " opened than closed for long, something leaks.",
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


def limits(description: str, most: int, rows: int, width: int = 12) -> BarGauge:
    """The processes nearest to their limit."""
    ratio = highest(fds.FD_LIMIT_RATIO, by=("process",))
    return BarGauge(
        title="Nearest to their fd limit",
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
    """Open files of the kernel against the most that it allows."""
    by = ("instance",)
    share = f"{highest(fds.HOST_FILES, by=by)} / {highest(fds.HOST_MAX_FILES, by=by)}"
    return TimeSeries(
        title="Open files of the host",
        description="Open files of the whole kernel (struct file), and on the right axis their"
        " share of the most that it allows (fs.file-max). Several fds can share one file.",
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
