# SPDX-License-Identifier: GPL-2.0-only
"""Amounts of processes that left the maps before the accounts were kept."""

from collections.abc import Mapping

from fdscope.probes.read.aside import Aside
from fdscope.probes.schema.snapshot import Accounts, Amount, Process, ProcessKey

KEY = ProcessKey(5, 1)
LIVING = ProcessKey(6, 1)


def reading(amounts: Mapping[ProcessKey, Mapping[int, Amount]], exited: bool = True) -> Accounts:
    processes = {KEY: Process(b"gone", 1, exited), LIVING: Process(b"here", 1, False)}
    return Accounts(amounts, {key: processes[key] for key in amounts})


def test_who_has_ended_is_set_aside_half_a_second_later() -> None:
    aside, maps = Aside(), reading({KEY: {1: Amount(1, 10)}, LIVING: {1: Amount(1, 3)}})
    assert aside.due(maps, 0.0) == []
    assert aside.due(maps, 0.2) == []
    assert aside.with_them(maps) is maps
    assert aside.due(maps, 0.6) == [KEY]
    left = reading({LIVING: {1: Amount(2, 6)}})
    whole = aside.with_them(left)
    assert whole.amounts == {KEY: {1: Amount(1, 10)}, LIVING: {1: Amount(2, 6)}}
    assert whole.processes[KEY].exited


def test_what_is_counted_later_is_added() -> None:
    aside = Aside()
    for now in (0.0, 1.0):
        aside.due(reading({KEY: {1: Amount(1, 10)}}), now)
    late = reading({KEY: {1: Amount(1, 5), 2: Amount(1, 0)}}, exited=False)
    whole = aside.with_them(late)
    assert whole.amounts[KEY] == {1: Amount(2, 15), 2: Amount(1, 0)}
    assert whole.processes[KEY].exited, "it has ended, whatever a late entry of the map says"


def test_who_is_taken_in_is_forgotten() -> None:
    aside, nothing = Aside(), Accounts({}, {})
    for now in (0.0, 1.0):
        aside.due(reading({KEY: {1: Amount(1, 10)}}), now)
    aside.forget([LIVING])
    assert aside.with_them(nothing).amounts
    aside.forget([KEY])
    assert aside.with_them(nothing) == nothing
