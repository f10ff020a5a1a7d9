# SPDX-License-Identifier: GPL-2.0-only
import re
from typing import Any

import promql_parser
import pytest

from fdscope.dashboards.promql import expressions
from fdscope.dashboards.promql.prometheus import ALERTS, SCRAPE_SAMPLES, SCRAPE_SECONDS, UP
from fdscope.exporter.catalog import CATALOG, Kind, fds, layers
from tests.dashboards.made import all_targets
from tests.dashboards.prometheus import filled_in

KNOWN = {metric.name for metric in (*CATALOG, UP, ALERTS, SCRAPE_SECONDS, SCRAPE_SAMPLES)} | {
    metric.name + "_bucket" for metric in CATALOG if metric.kind is Kind.HISTOGRAM
}


def test_a_rate_sums_over_the_series_of_the_chosen_targets() -> None:
    assert expressions.rate(layers.FILE_READ_BYTES, by=("fd_type",), door="splice") == (
        "sum by (fd_type) (rate(fdscope_file_read_bytes_total"
        '{job=~"$job", instance=~"$instance", door="splice"}[$__rate_interval]))'
    )


def test_events_are_what_there_is_now_less_what_there_was_before_or_nothing() -> None:
    now = 'sum by (method) (fdscope_debug_accesses_total{job=~"$job", instance=~"$instance"})'
    assert expressions.events(fds.DEBUG_ACCESSES, by=("method",)) == (
        f"clamp_min({now} - ({now[:-1]} offset $__rate_interval) or 0 * {now}), 0)"
    )
    with pytest.raises(expressions.QueryError, match="no counter"):
        expressions.events(fds.OPEN_FDS)


def test_a_label_that_the_metric_does_not_have_is_refused() -> None:
    with pytest.raises(expressions.QueryError, match="no label scope"):
        expressions.rate(layers.FILE_READ_BYTES, by=("scope",))
    with pytest.raises(expressions.QueryError, match="no label errno"):
        expressions.select(layers.FILE_READ_BYTES, errno="EAGAIN")


def test_a_value_that_a_label_never_has_is_refused() -> None:
    with pytest.raises(expressions.QueryError, match=r"fd_type of .* is never tpc"):
        expressions.select(fds.OPEN_FDS, fd_type="tpc")
    with pytest.raises(expressions.QueryError, match="is never tpc"):
        expressions.select(fds.OPEN_FDS, fd_type=expressions.matches("tpc.*"))


def test_a_variable_and_a_label_of_prometheus_are_known() -> None:
    assert 'fd_type=~"$fd_type"' in expressions.select(fds.OPEN_FDS, fd_type="$fd_type")
    assert expressions.total(fds.OPEN_FDS, by=("instance",)).startswith("sum by (instance)")


def test_the_rate_of_a_gauge_and_buckets_of_a_counter_are_refused() -> None:
    with pytest.raises(expressions.QueryError, match="no counter"):
        expressions.rate(fds.OPEN_FDS)
    with pytest.raises(expressions.QueryError, match="no histogram"):
        expressions.buckets(layers.FILE_READ_BYTES)


@pytest.mark.parametrize("target", all_targets())
def test_each_query_is_promql(target: dict[str, Any]) -> None:
    promql_parser.parse(filled_in(target["expr"]))


@pytest.mark.parametrize("target", all_targets())
def test_each_query_names_metrics_of_the_catalog(target: dict[str, Any]) -> None:
    selected = set(re.findall(r"(\w+)\{", target["expr"]))
    assert selected
    assert selected <= KNOWN
