# SPDX-License-Identifier: GPL-2.0-only
"""The table of instances, each of which leads to its host."""

from typing import Any

from dashboards import style
from dashboards.frame import data_link, link_to
from dashboards.host_fds import LIMIT
from dashboards.panels import Table
from dashboards.prometheus import SCRAPE_SECONDS, UP
from dashboards.promql import differs, highest, rate, total
from dashboards.tables import bar_column, column_queries, merged
from exporter.catalog import fds, itself, layers

_BY = ("instance",)


def host_link(value: str) -> dict[str, Any]:
    """Lead to the host of one instance: the chosen instances do not go along."""
    url = link_to("host").replace("${instance:queryparam}", f"var-instance={value}")
    return data_link("This host", url)


def instances() -> Table:
    """All instances, with what is first looked at."""
    columns = {
        "up": total(UP, by=_BY),
        "mode": f"{total(itself.ATTACH_MODE, by=('instance', 'mode'))} > 0",
        "file": rate(layers.LEDGER_DOOR_BYTES, by=_BY),
        "socket": rate(layers.LEDGER_SOCKET_BYTES, by=_BY),
        "errors": rate(layers.FILE_ERRORS, by=_BY, errno=differs("EAGAIN")),
        "fds": total(fds.OPEN_FDS, by=_BY),
        "limit": highest(fds.FD_LIMIT_RATIO, by=_BY),
        "residual": total(layers.LEDGER_RESIDUAL_BYTES, by=_BY),
        "scrape": highest(SCRAPE_SECONDS, by=_BY),
    }
    titles = {
        "up": "answers",
        "mode": "in mode",
        "file": "file layer",
        "socket": "socket layer",
        "errors": "errors",
        "fds": "open fds",
        "limit": "fd limit",
        "residual": "residual",
        "scrape": "scrape",
    }
    states = {
        "0": {"text": "no", "color": style.BAD, "index": 0},
        "1": {"text": "yes", "color": style.GOOD, "index": 1},
    }
    text = {"type": "color-text"}
    return Table(
        title="Instances",
        description="One row per instance; its name leads to the dashboard of the host.",
        targets=column_queries(columns),
        transformations=merged(
            ("instance", "mode"),
            titles,
            sort_by="file layer",
            hide=("Value #mode",),
        ),
        overrides=[
            style.override("instance", links=[host_link("${__value.raw}")], custom_width=155),
            style.override(
                "answers",
                mappings=[{"type": "value", "options": states}],
                custom_cellOptions=text,
                custom_width=75,
            ),
            *(
                bar_column(
                    layer,
                    unit="Bps",
                    color={"mode": "fixed", "fixedColor": color},
                )
                for layer, color in (("file layer", style.ORANGE), ("socket layer", style.BLUE))
            ),
            style.override("mode", custom_width=95),
            style.override("open fds", custom_width=85),
            style.override("errors", unit="iops", custom_width=88),
            style.override(
                "fd limit",
                unit="percentunit",
                custom_width=75,
                thresholds={"mode": "absolute", "steps": LIMIT},
                custom_cellOptions=text,
            ),
            style.override(
                "residual",
                unit="decbytes",
                custom_width=80,
                thresholds={
                    "mode": "absolute",
                    "steps": style.thresholds((style.GOOD, None), (style.BAD, 1)),
                },
                custom_cellOptions=text,
            ),
            style.override("scrape", unit="s", custom_width=80),
        ],
        empty="no exporter is scraped",
        width=24,
        rows=10,
    )
