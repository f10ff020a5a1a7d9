# SPDX-License-Identifier: GPL-2.0-only
"""The judge finds missing, additional and foreign operations."""

import pytest

from fdscope.probes.schema.slots import code_of
from fdscope.probes.schema.snapshot import Amount, Process, ProcessKey, Snapshot
from fdscope.probes.schema.taxonomy import Account, Door, FdType, Mode, Scope
from tests.scorecard import judge, load, results, table
from tests.scorecard.model import EXACT, OFF, Blind, Line, Verdict
from tests.scorecard.scenarios import SCENARIOS
from tests.scorecard.tally import Entry
from tests.scorecard.trial import Sample

PID = 7
SENT = Entry(PID, "sc", "written", "tcp", "socket_call", Amount(2, 10))
PEEKED = Entry(PID, "sc", "peeked", "tcp", "socket_call", Amount(1, 5))
SPLICED = Entry(PID, "sc", "read", "tcp", "splice", Amount(1, 4))


FILE = code_of(Account.FILE_WRITE, FdType.TCP, Door.SOCKET_CALL)
SOCKET = code_of(Account.SOCKET_SEND, FdType.TCP, Scope.LOOPBACK)


def wrong(codes: dict[int, Amount], *entries: Entry) -> list[Line]:
    slots = {ProcessKey(PID, 1): codes, ProcessKey(PID + 1, 1): {FILE: Amount(1, 99)}}
    seen = judge.counted(slots, frozenset({PID}))
    lines = judge.compare(judge.expected(entries, sockets=True), seen, {PID: "sc"})
    return [line for line in lines if not line.exact]


def test_the_same_is_exact() -> None:
    assert not wrong({FILE: Amount(2, 10), SOCKET: Amount(9, 10)}, SENT)


@pytest.mark.parametrize("amount", [Amount(2, 9), Amount(1, 10), Amount(3, 10), Amount(2, 11)])
def test_a_byte_or_an_operation_more_or_less_is_not(amount: Amount) -> None:
    (line,) = wrong({FILE: amount, SOCKET: Amount(2, 10)}, SENT)
    assert line.layer == "file"
    assert line.lacks == (amount.bytes < 10 or amount.operations < 2)


def test_another_door_is_two_wrongs() -> None:
    other = code_of(Account.FILE_WRITE, FdType.TCP, Door.VECTORED)
    assert {line.door for line in wrong({other: Amount(2, 10), SOCKET: Amount(2, 10)}, SENT)} == {
        "socket_call",
        "vectored",
    }


def test_errors_are_no_bytes_and_splice_passes_the_socket_layer_by() -> None:
    failed = code_of(Account.FILE_WRITE, FdType.TCP, Door.SOCKET_CALL, 11)
    spliced = code_of(Account.FILE_READ, FdType.TCP, Door.SPLICE)
    assert not wrong({failed: Amount(5, 0), spliced: Amount(1, 4)}, SPLICED)
    assert len(wrong({}, PEEKED)) == 2


def test_a_wrong_name_is_told() -> None:
    snapshot = Snapshot({}, {ProcessKey(PID, 1): Process(b"other", 1, exited=False)})
    (line,) = judge.wrong_names([SENT], snapshot)
    assert not line.exact
    assert "other" in table.line_text(line)


def test_every_blind_spot_of_a_scenario_is_one_that_the_product_lists() -> None:
    spots = [blind for scenario in SCENARIOS for blind in scenario.blind]
    assert spots
    for blind in spots:
        assert all(blind.text(mode) for mode in blind.modes)
    with pytest.raises(ValueError, match="no blind spot"):
        Blind("what nobody says").text(Mode.FENTRY)


def test_names_of_scenarios_are_unique() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)


def run_of(*verdicts: Verdict) -> results.Run:
    return results.Run("6.1.0", "x86_64", "0.26", "kprobe", 1.0, {}, 0, list(verdicts))


def test_a_run_fails_for_what_is_off_lost_or_unexplained() -> None:
    name = SCENARIOS[0].name
    assert run_of(Verdict(name, EXACT)).passed
    assert not run_of(Verdict(name, OFF)).passed
    assert not run_of(Verdict(name, EXACT, losses=1)).passed
    assert not run_of(Verdict(name, EXACT, residual_bytes=1)).passed
    assert "**off**" in table.page([run_of(Verdict(name, OFF))], [])


def sample(second: int, resident_kib: int = 50_000, full: float = 0.2) -> Sample:
    return Sample(second, 0.1, resident_kib, 20, 500, {"counters": full}, {}, {}, 0)


def test_a_soak_complains_of_growth_and_of_full_maps() -> None:
    assert not load.complaints([sample(n) for n in range(30)])
    assert load.complaints([sample(n, 50_000 + 1000 * n) for n in range(30)])
    assert load.complaints([sample(n, full=n / 29) for n in range(30)])
