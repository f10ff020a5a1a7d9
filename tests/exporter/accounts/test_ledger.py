# SPDX-License-Identifier: GPL-2.0-only
"""The ledger closes, and reports when it does not."""

from collections.abc import Iterable
from itertools import pairwise

import pytest

from fdscope.exporter.accounts.ledger import Line, Residuals, Side, ledger, since
from fdscope.probes.schema.slots import KERNEL_SOCKET, code_of
from fdscope.probes.schema.snapshot import Amount, UnderWay
from fdscope.probes.schema.taxonomy import Account, Door, FdType, Scope


def line_of(lines: list[Line], fd_type: FdType, direction: str) -> Line:
    return next(line for line in lines if line.side == (fd_type, direction))


def test_terms() -> None:
    tcp = FdType.TCP
    one = {
        code_of(Account.FILE_READ, tcp, Door.READ_WRITE): Amount(1, 100),
        code_of(Account.FILE_READ, tcp, Door.SPLICE): Amount(1, 30),
        code_of(Account.FILE_READ, tcp, Door.READ_WRITE, 11): Amount(5, 0),
        code_of(Account.FILE_PEEK, tcp, Door.SOCKET_CALL): Amount(1, 999),
        code_of(Account.SOCKET_RECEIVE, tcp, Scope.REMOTE): Amount(1, 40),
    }
    other = {
        code_of(Account.SOCKET_RECEIVE, tcp, Scope.LOOPBACK): Amount(1, 60),
        code_of(Account.SOCKET_RECEIVE, tcp, Scope.REMOTE | KERNEL_SOCKET): Amount(1, 7),
        code_of(Account.FILE_WRITE, FdType.REGULAR, Door.SENDFILE): Amount(1, 5),
    }
    lines = ledger([one, other], UnderWay({FdType.UDP: 5}, {tcp: 11}))
    received = line_of(lines, tcp, "received")
    assert received.doors == {Door.READ_WRITE: 100, Door.SPLICE: 30}
    assert (received.socket, received.kernel, received.blind) == (100, 7, 30)
    assert received.residual == 0
    assert not line_of(lines, FdType.REGULAR, "sent").is_socket
    sent = line_of(lines, tcp, "sent")
    assert (sent.under_way, sent.was_under_way, sent.residual) == (11, 0, -11)


UDP_SENT = Side(FdType.UDP, "sent")


def residual_of(readings: Iterable[tuple[int, int]]) -> list[int]:
    """The confirmed residual after each reading of bytes at the socket layer and through doors."""
    residuals = Residuals()
    return [
        residuals.update([Line(UDP_SENT, {Door.SOCKET_CALL: doors}, socket)])[UDP_SENT]
        for socket, doors in readings
    ]


QUIET = [(1000, 1000)] * 6


@pytest.mark.parametrize("missing", [8, -8])
def test_a_residual_counts_when_it_stays(missing: int) -> None:
    more = [(2000 + max(missing, 0), 2000 - min(missing, 0))]
    assert residual_of(QUIET + more * 4) == [0] * 10
    assert residual_of(QUIET + more * 5) == [0] * 10 + [8]


def test_bytes_that_a_call_has_yet_to_bring_to_a_door_are_no_residual() -> None:
    waiting = [(1500, 1000)] * 3
    assert not any(residual_of([*QUIET, *waiting, *[(1500, 1500)] * 9]))


@pytest.mark.parametrize("late", [65554, -65554])
def test_a_busy_host_is_no_residual(late: int) -> None:
    """One layer is always read after the other, also at the start; at the end nothing moves."""
    busy = [(number * 300_000 + late, number * 300_000) for number in range(1, 20)]
    assert not any(residual_of([*busy, *[(6_000_000, 6_000_000)] * 9]))


def test_what_is_missing_on_a_busy_host_is_found() -> None:
    """A hundredth of it: the bounds are as wide as the growth between two readings."""
    found = residual_of((number * 300_000, number * 297_000) for number in range(1, 400))
    assert found[50] == 0
    assert 0.4 * 399 * 3000 < found[-1] <= 399 * 3000


def test_what_was_under_way_at_the_start_is_no_residual() -> None:
    assert not any(residual_of([(1300, 1000)] * 10))


def sendfile(moved: Iterable[int], done: int) -> list[int]:
    """A call that has sent so many bytes by each reading, and returns later."""
    residuals, found, total = Residuals(), [], 0
    for before, total in pairwise((0, *moved)):
        line = Line(UDP_SENT, {Door.SENDFILE: done}, done + total)
        line.was_under_way, line.under_way = before, total
        found.append(residuals.update([line])[UDP_SENT])
    for _ in range(6):
        line = Line(UDP_SENT, {Door.SENDFILE: done + total}, done + total)
        found.append(residuals.update([line])[UDP_SENT])
    return found


def test_a_call_that_takes_hours_is_no_residual() -> None:
    assert not any(sendfile(range(1000, 50_000, 1000), 700))


def test_a_call_that_returns_while_the_ledger_is_read_is_no_residual() -> None:
    """In flight before the doors are read, and counted by them; or neither."""
    residuals = Residuals()
    for _ in range(6):
        residuals.update([Line(UDP_SENT, {Door.SENDFILE: 50}, 50)])
    readings = [
        Line(UDP_SENT, {Door.SENDFILE: 50}, 950, under_way=900, was_under_way=900),
        Line(UDP_SENT, {Door.SENDFILE: 950}, 950, under_way=0, was_under_way=900),
        Line(UDP_SENT, {Door.SENDFILE: 950}, 1850, under_way=900, was_under_way=0),
        Line(UDP_SENT, {Door.SENDFILE: 950}, 1850, under_way=0, was_under_way=900),
        *[Line(UDP_SENT, {Door.SENDFILE: 1850}, 1850)] * 6,
    ]
    assert not any(residuals.update([line])[UDP_SENT] for line in readings)


def test_what_is_missing_beside_a_long_call_is_found() -> None:
    residuals = Residuals()
    found = [
        residuals.update([Line(UDP_SENT, {Door.SENDFILE: doors}, socket, 0, 900, 900)])[UDP_SENT]
        for socket, doors in [*[(1000, 100)] * 6, *[(1008, 100)] * 6]
    ]
    assert found[-1] == 8


def test_between_two_readings() -> None:
    udp, tcp = Side(FdType.UDP, "sent"), Side(FdType.TCP, "sent")
    before = [Line(udp, {Door.SOCKET_CALL: 100, Door.SPLICE: 3}, 90, 1)]
    after = [
        Line(tcp, {Door.SPLICE: 1}, 1),
        Line(udp, {Door.SOCKET_CALL: 150, Door.SPLICE: 3}, 140, 5),
    ]
    assert since(before, after) == [
        Line(tcp, {Door.SPLICE: 1}, 1),
        Line(udp, {Door.SOCKET_CALL: 50}, 50, 4),
    ]
