# SPDX-License-Identifier: GPL-2.0-only
"""Selectors: what they write, and what they refuse."""

import pytest

from fdscope.dashboards.alerting.model import Record
from fdscope.dashboards.promql.selectors import (
    QueryError,
    differs,
    keep,
    like,
    matches,
    one_of,
    select,
    unlike,
)
from fdscope.exporter.catalog import fds, layers


def test_labels_and_values_that_there_are() -> None:
    written = select(fds.OPEN_FDS, "5m", fd_type=one_of(["tcp", "udp"]), pid=differs(""))
    assert written == 'fdscope_open_fds{fd_type=~"tcp|udp", pid!=""}[5m]'
    assert select(fds.OPEN_FDS, process=None) == "fdscope_open_fds"
    kept = keep("sum", fds.OPEN_FDS, ["process"], select(fds.OPEN_FDS))
    assert kept == "sum without (pid, unit, fd_type, ended) (fdscope_open_fds)"


def test_names_are_written_as_they_are() -> None:
    assert like(["a.b", "c*", "(x)"]).value == r"a\.b|c.*|\(x\)"
    assert unlike([]) is None
    assert select(fds.OPEN_FDS, process=like(["a.b"])) == r'fdscope_open_fds{process=~"a\\.b"}'
    assert select(fds.OPEN_FDS, process='"\\') == r'fdscope_open_fds{process="\"\\"}'


def test_refusals() -> None:
    with pytest.raises(QueryError, match="fdscope_open_fds has no label door"):
        select(fds.OPEN_FDS, door="splice")
    with pytest.raises(QueryError, match="fd_type of fdscope_open_fds is never tpc"):
        select(fds.OPEN_FDS, fd_type="tpc")
    with pytest.raises(QueryError, match="never tpc"):
        select(fds.OPEN_FDS, fd_type=matches("tpc"))
    with pytest.raises(QueryError, match="has no label errno"):
        keep("sum", layers.FILE_READS, ["errno"], "x")
    with pytest.raises(QueryError, match="x:y:z has no label pid"):
        select(Record("x:y:z", "1", ("process",)), pid="1")
