# SPDX-License-Identifier: GPL-2.0-only
"""Rates of processes and files from two documents."""

import pytest

from fdscope.exporter.top.rates import (
    Moved,
    OfType,
    Order,
    between,
    file_lines,
    file_types,
    shares,
    sheet_text,
    short,
)
from fdscope.probes.schema.taxonomy import FdType
from tests.exporter.top.made import file, files, host, moved, operation, process

BEFORE = host(
    100.0,
    process(1, "old", {"tcp": 2}, tcp=moved(1000, 500, 10, 1)),
    process(2, "idle", {"regular": 3}),
    process(3, "leaving", {"fifo": 1}, fifo=moved(0, 5, 1)),
    process(9, "gone", {"fifo": 1}, fifo=moved(0, 5, 1)),
)
AFTER = host(
    104.0,
    process(
        *(1, "old", {"tcp": 2, "regular": 1}),
        tcp=moved(1400, 500, 20, 3),
        regular=moved(0, 8, 2),
    ),
    process(2, "idle", {"regular": 3}),
    process(3, "leaving", None, fifo=moved(0, 45, 3)),
    process(4, "new\x1b[31m", {"udp": 1}, udp=moved(0, 40, 4)),
    process(5, "kworker/0:1", {}),
    process(6, "ended long ago", None, tcp=moved(5, 5, 5)) | {"ended": True},
    unattributed=7,
)  # fmt: skip


def test_rates_are_of_the_time_between() -> None:
    before = host(*(100.0, *BEFORE["processes"]), unattributed=2)
    before["processes"].append(process(6, "ended long ago", None, tcp=moved(5, 5, 5)))
    sheet = between(before, AFTER)
    assert sheet.seconds == 4.0
    lines = {line.pid: line for line in sheet.lines}
    assert sorted(lines) == [1, 2, 3, 4]
    assert lines[1].moved == Moved(100, 2, 3, 0.5)
    assert lines[1].types[FdType.TCP] == OfType(2, Moved(100, 0, 2.5, 0.5))
    assert lines[1].fds == 3
    # What was counted before its end, and of one that is new, from its beginning.
    assert (lines[3].moved, lines[3].ended, lines[3].fds) == (Moved(0, 10, 0.5, 0), True, None)
    assert lines[4].moved == Moved(0, 10, 1, 0)
    assert lines[4].name == r"new\x1b[31m"
    assert sheet.unattributed == 5
    assert sheet.types[FdType.TCP] == OfType(2, Moved(100, 0, 2.5, 0.5))
    assert sum(of.moved.bytes for of in sheet.types.values()) == 122


def test_a_first_look_has_no_rates() -> None:
    sheet = between(None, AFTER)
    assert (sheet.seconds, sheet.unattributed) == (0.0, 0)
    assert {line.moved for line in sheet.lines} == {Moved()}
    assert [line.pid for line in sheet.sorted(Order.FDS)] == [1, 2, 4]


def test_a_reused_pid_is_another_process() -> None:
    after = host(101.0, process(1, "other", {}, tcp=moved(10, 0, 1)) | {"start": 99})
    (line,) = between(BEFORE, after).lines
    assert line.moved == Moved(10, 0, 1, 0)


def test_rates_are_never_below_zero() -> None:
    (line,) = between(BEFORE, host(101.0, process(1, "old", {"tcp": 2}, tcp=moved(1)))).lines
    assert line.moved == Moved()


@pytest.mark.parametrize(
    ("order", "pids"),
    [
        (Order.BYTES, [1, 4, 3, 2]),
        (Order.OPERATIONS, [1, 4, 3, 2]),
        (Order.ERRORS, [1, 4, 3, 2]),
        (Order.FDS, [1, 2, 4, 3]),
        (Order.NAME, [2, 3, 4, 1]),
        (Order.PID, [1, 2, 3, 4]),
    ],
)
def test_order(order: Order, pids: list[int]) -> None:
    assert [line.pid for line in between(BEFORE, AFTER).sorted(order) if line.pid < 5] == pids


@pytest.mark.parametrize(
    ("text", "pids"), [("OLD", [1]), ("tcp", [1, 6]), ("4", [4]), ("regular", [1, 2]), ("404", [])]
)
def test_filter(text: str, pids: list[int]) -> None:
    assert [line.pid for line in between(BEFORE, AFTER).sorted(Order.PID, text)] == pids


def test_table_and_document() -> None:
    sheet = between(BEFORE, AFTER)
    text = sheet_text(sheet, Order.BYTES).splitlines()
    assert text[0].split() == ["PID", "PROCESS", "READ/s", "WRITTEN/s", "OPS/s", "ERRORS/s", "FDS",
                               "TYPES"]  # fmt: skip
    assert text[1].split(maxsplit=7) == ["1", "old", "100", "2", "3", "0.5", "3",
                                         "tcp 98%, regular 2%"]  # fmt: skip
    assert text[-1] == "lost because a map was full: 7 operations"
    document = sheet.as_dict(Order.PID)
    assert document["processes"][0] == {
        "pid": 1,
        "process": "old",
        "ended": False,
        "open_fds": 3,
        "read_bytes_per_second": 100,
        "written_bytes_per_second": 2,
        "operations_per_second": 3,
        "errors_per_second": 0.5,
        "fd_types": {
            "tcp": {"open_fds": 2, "read_bytes_per_second": 100, "written_bytes_per_second": 0,
                    "operations_per_second": 2.5, "errors_per_second": 0.5},
            "regular": {"open_fds": 1, "read_bytes_per_second": 0, "written_bytes_per_second": 2,
                        "operations_per_second": 0.5, "errors_per_second": 0},
        },
    }  # fmt: skip


def test_files_of_a_process() -> None:
    written = operation("write", 5, 500), operation("write", 1, 0, "EAGAIN")
    more = operation("write", 9, 900), operation("write", 3, 0, "EAGAIN")
    before = files(1, 10.0, file(3, "/log", "regular", *written), file(4, "/x", "regular"))
    after = files(1, 12.0, file(3, "/log", "regular", *more), file(5, "/new", "fifo", *written))
    log, new = file_lines(before["processes"][0], after["processes"][0])
    assert (log.total, log.rate) == (Moved(0, 900, 12, 3), Moved(0, 200, 3, 1))
    assert new.rate == Moved(0, 250, 3, 0.5)
    assert file_types([log, new])[FdType.FIFO] == OfType(1, new.rate)
    (first, _) = file_lines(None, after["processes"][0])
    assert (first.rate, first.total) == (Moved(), Moved(0, 900, 12, 3))


def test_a_file_stays_the_same_when_it_is_duplicated() -> None:
    one = file(3, "/log", "regular", operation("write", 5, 500))
    two = one | {"fds": [3, 8], "operations": [operation("write", 6, 600)]}
    (line,) = file_lines(files(1, 1.0, one)["processes"][0], files(1, 2.0, two)["processes"][0])
    assert line.rate == Moved(0, 100, 1, 0)


def test_two_files_of_one_identity_are_not_told_apart() -> None:
    """They were closed: their sum may not count twice."""
    closed = {"open": False, "opened_by": "open", "closed_by": "close"}
    one = file(3, "/log", "regular", operation("write", 5, 500), **closed)
    lines = file_lines(files(1, 1.0, one)["processes"][0], files(1, 2.0, one)["processes"][0])
    assert [line.rate for line in lines] == [Moved()]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.01, "<0.1"), (0.5, "0.5"), (12.34, "12.3"), (99.99, "100"), (250.4, "250"),
     (9999, "9999"), (9999.4, "9999"), (10_000, "10.0k"), (999_499, "999k"), (999_600, "1.00M"),
     (2_345_678, "2.35M"), (45_678_901, "45.7M"), (9.9e17, "990P"), (5e20, "500000P")],
)  # fmt: skip
def test_short(value: float, text: str) -> None:
    assert short(value) == text


def test_shares() -> None:
    types = {FdType.TCP: OfType(1, Moved(30, 0, 1)), FdType.FIFO: OfType(9, Moved(10, 0, 5))}
    assert shares(types, Order.BYTES) == [(FdType.TCP, 0.75), (FdType.FIFO, 0.25)]
    assert shares(types, Order.FDS) == [(FdType.FIFO, 0.9), (FdType.TCP, 0.1)]
    # Nothing fails: open descriptors are shown instead.
    assert shares(types, Order.ERRORS) == [(FdType.FIFO, 0.9), (FdType.TCP, 0.1)]
    assert shares({}, Order.BYTES) == []
