# SPDX-License-Identifier: GPL-2.0-only
"""fdscope itself: whether its numbers can be trusted, and what they cost."""

from typing import Any

from grafanalib import core

from dashboards import itself_health, style
from dashboards.attachment import attach_mode, missed_runs
from dashboards.frame import base_variables, dashboard, grid, row
from dashboards.ledger_panels import unexplained
from dashboards.panels import Panel, Table, stat
from dashboards.prometheus import SCRAPE_SECONDS, UP
from dashboards.promql import highest, select, total
from dashboards.tables import column_queries, merged
from exporter.catalog import itself as catalog

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
            "Updates since the start that found no room where they belong. The bytes are not lost:"
            " they are kept under the process (not attributed).",
            f"sum({select(catalog.LOST_UPDATES)})",
            thresholds=_ZERO_IS_GOOD,
            empty="no exporter answers",
            **size,
        ),
        missed_runs(width=6, rows=3),
        stat(
            "Last scrape took",
            "Time that the slowest instance took to answer the last scrape.",
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
        description="Where on the kernel the probes hang; what is not attached is not counted.",
        targets=column_queries({"state": highest(catalog.PROBE_ATTACHED, by=by)}),
        transformations=merged(by, {"state": "state"}, sort_by="state"),
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
        description="Known bytes that went through each door at the start of the exporter, and what"
        " the probes counted of them, summed over the instances.",
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
    """The dashboard."""
    runs_on, *losses = _builds(), *itself_health.losses()
    return dashboard(
        "itself",
        "fdscope itself",
        "What is attached, what was lost, what it costs: whether the other dashboards are right.",
        base_variables(),
        grid(
            _stats(),
            [
                row("What is attached, and does it fire", _hooks(), _selftest()),
                row("Losses", *losses, itself_health.maps(), *itself_health.census()),
                row("Cost", *itself_health.cost(), itself_health.drift(), runs_on),
            ],
        ),
    )
