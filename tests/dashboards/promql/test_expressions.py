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


TARGET = 'job=~"$job", instance=~"$instance"'


def test_a_rate_is_the_difference_of_sums_of_the_chosen_targets() -> None:
    series = f'fdscope_ledger_door_bytes_total{{{TARGET}, door="splice"}}'
    now = f"sum by (job, instance, fd_type) ({series})"
    assert expressions.rate(layers.LEDGER_DOOR_BYTES, by=("fd_type",), door="splice") == (
        f"sum by (fd_type) ((({now} - {now[:-1]} offset $__rate_interval)) >= 0\n"
        f"or {now} and on (job, instance) up{{{TARGET}}} offset $__rate_interval == 1)"
        " / ($__rate_interval_ms / 1000))"
    )
    recent = expressions.rate(layers.LEDGER_DOOR_BYTES, seconds=60, back=10)
    assert " offset 10s" in recent
    assert " offset 70s" in recent
    assert recent.endswith(") / 60)")


def test_names_are_summed_by_unit_and_the_other_processes_by_their_series() -> None:
    written = expressions.rate(layers.FILE_READ_BYTES, by=("process",), seconds=60)
    assert f"sum by (job, instance, process, unit) (fdscope_file_read_bytes_total{{{TARGET}, " in (
        written
    )
    assert written.count('process="(other processes)", ended=""') == 3
    chosen = expressions.rate(layers.FILE_READ_BYTES, process="$process")
    assert 'process=~"$process", process!="(other processes)"' in chosen
    by_pid = expressions.rate(layers.FILE_READ_BYTES, by=("pid",), process="$process")
    assert by_pid.count("{") == by_pid.count('ended=""') + 1


def test_events_are_all_there_were_of_a_target_that_is_new() -> None:
    written = expressions.events(fds.DEBUG_ACCESSES, by=("method",))
    assert f"or sum by (job, instance, method) (fdscope_debug_accesses_total{{{TARGET}}}))" in (
        written
    )
    assert "up{" not in written
    with pytest.raises(expressions.QueryError, match="no counter"):
        expressions.events(fds.OPEN_FDS)


def test_names_of_units_are_joined() -> None:
    assert expressions.with_names("busy", "container", "pod") == (
        "busy * on (unit) group_left (container, pod)"
        f" topk by (unit) (1, max by (unit, container, pod) (fdscope_unit_info{{{TARGET}}}))"
    )
    with pytest.raises(expressions.QueryError, match="no label colour"):
        expressions.with_names("busy", "colour")


def test_the_least_pace_of_the_steps_of_a_window() -> None:
    written = expressions.least_pace(fds.OPEN_FDS, ("process",), 60, pid="7")
    assert [f"offset {back}s" in written for back in (20, 40, 60, 80)] == [True, True, True, False]
    assert written.startswith("(min by (process) (label_replace(sum by (process) (")
    assert "/ 20 > 0 and sum by (process) (" in written


def test_increase_of_processes_is_refused() -> None:
    with pytest.raises(expressions.QueryError, match="misses short ones"):
        expressions.growth(layers.FILE_READS)


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
