# SPDX-License-Identifier: GPL-2.0-only
"""The ledger closes, and tells when it does not."""

from exporter.ledger import Line, Residuals, Side, ledger, since
from probes.snapshot import KERNEL_SOCKET, Amount
from probes.taxonomy import Account, Door, FdType, Scope


def code(account: Account, fd_type: FdType, via: int, errno: int = 0) -> int:
    return account | fd_type << 8 | via << 16 | errno << 24


def line_of(lines: list[Line], fd_type: FdType, direction: str) -> Line:
    return next(line for line in lines if line.side == (fd_type, direction))


def test_terms() -> None:
    tcp = FdType.TCP
    one = {
        code(Account.FILE_READ, tcp, Door.READ_WRITE): Amount(1, 100),
        code(Account.FILE_READ, tcp, Door.SPLICE): Amount(1, 30),
        code(Account.FILE_READ, tcp, Door.READ_WRITE, 11): Amount(5, 0),
        code(Account.FILE_PEEK, tcp, Door.SOCKET_CALL): Amount(1, 999),
        code(Account.SOCKET_RECEIVE, tcp, Scope.REMOTE): Amount(1, 40),
    }
    other = {
        code(Account.SOCKET_RECEIVE, tcp, Scope.LOOPBACK): Amount(1, 60),
        code(Account.SOCKET_RECEIVE, tcp, Scope.REMOTE | KERNEL_SOCKET): Amount(1, 7),
        code(Account.FILE_WRITE, FdType.REGULAR, Door.SENDFILE): Amount(1, 5),
    }
    lines = ledger([one, other])
    received = line_of(lines, tcp, "received")
    assert received.doors == {Door.READ_WRITE: 100, Door.SPLICE: 30}
    assert (received.socket, received.kernel, received.blind) == (100, 7, 30)
    assert received.residual == 0
    assert not line_of(lines, FdType.REGULAR, "sent").is_socket


def reading(residual: int) -> list[Line]:
    return [Line(Side(FdType.UDP, "sent"), {Door.SOCKET_CALL: 1000}, 1000 + residual)]


def test_a_residual_counts_when_it_stays() -> None:
    residuals = Residuals()
    side = Side(FdType.UDP, "sent")
    seen = [residuals.update(reading(r)).get(side, 0) for r in (0, 50, 0, -20, 0, 8, 8, 8, 8, 0)]
    assert seen == [0, 0, 0, 0, 0, 0, 0, 0, 8, 8]


def test_what_was_under_way_at_the_start_is_no_residual() -> None:
    residuals = Residuals()
    for _ in range(10):
        assert set(residuals.update(reading(300)).values()) == {0}


def test_a_busy_host_at_the_start_is_no_residual() -> None:
    """Bytes in flight at the first reading would otherwise be missed for ever after."""
    residuals = Residuals()
    for residual in (98304, -16384, 0, 0, 0, 0, 0, 32768, -16384, 16384, 0):
        seen = residuals.update(reading(residual))
    assert set(seen.values()) == {0}


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
