# SPDX-License-Identifier: GPL-2.0-only
"""Repeated readings: values kept from the last one equal those in the map."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fdscope.probes.read.decode import AmountsReader, ProcessesReader
from fdscope.probes.schema.records import dtype
from fdscope.probes.schema.slots import UNKNOWN_ERRNO, code_of
from fdscope.probes.schema.snapshot import Amount, Process, ProcessKey

CPUS = 2
Entry = tuple[int, int, int]
"""Tgid, start, slot code."""

ENTRIES = st.dictionaries(
    st.tuples(
        st.sampled_from([1, 2, 2**31, 2**32 - 1]), st.sampled_from([0, 1, 2**32 - 1]),
        st.sampled_from([0, 1, code_of(0, 0, 0, UNKNOWN_ERRNO)]),
    ),
    st.tuples(st.integers(0, 2**40), st.integers(0, 2**62)),
)  # fmt: skip


def read(reader: AmountsReader, entries: dict[Entry, tuple[int, int]]) -> None:
    keys = np.zeros(len(entries), dtype("counter_key"))
    values = np.zeros((len(entries), CPUS), dtype("amount"))
    if entries:
        keys.view("<u4").reshape(-1, 3)[:] = list(entries)
    for place, (operations, byte_count) in enumerate(entries.values()):
        values[place, 0] = operations, byte_count
        values[place, 1] = 1, 0
    expected: dict[ProcessKey, dict[int, Amount]] = {}
    for (tgid, start, code), (operations, byte_count) in entries.items():
        of_process = expected.setdefault(ProcessKey(tgid, start), {})
        of_process[code] = Amount(operations + 1, byte_count)
    assert reader.read(keys, values) == expected


@given(st.lists(st.tuples(ENTRIES, st.integers(0, 7))))
def test_each_reading_is_what_the_map_holds(readings: list[tuple[dict[Entry, tuple[int, int]], int]]) -> None:  # fmt: skip # noqa: E501
    reader = AmountsReader()
    last: dict[Entry, tuple[int, int]] = {}
    for entries, kept in readings:
        read(reader, entries | dict(list(last.items())[:kept]))
        last = entries | dict(list(last.items())[:kept])


def test_a_key_that_is_there_more_than_once() -> None:
    keys = np.zeros(5, dtype("counter_key"))
    keys["tgid"] = 2, 1, 2, 2, 1
    keys["account"] = 0, 0, 0, 1, 0
    values = np.zeros((5, 1), dtype("amount"))
    values["bytes"][:, 0] = 1, 2, 4, 8, 16
    assert AmountsReader().read(keys, values) == {
        ProcessKey(1, 0): {0: Amount(0, 18)},
        ProcessKey(2, 0): {0: Amount(0, 5), 1: Amount(0, 8)},
    }


def test_who_did_nothing_is_not_made_anew() -> None:
    reader = AmountsReader()
    keys = np.zeros(2, dtype("counter_key"))
    keys["tgid"] = 1, 2
    values = np.zeros((2, CPUS), dtype("amount"))
    first = reader.read(keys, values)
    values["bytes"][1, 0] = 5
    second = reader.read(keys, values)
    assert second[ProcessKey(1, 0)] is first[ProcessKey(1, 0)]
    assert second[ProcessKey(2, 0)] == {0: Amount(0, 5)}


PROCESSES = st.dictionaries(
    st.tuples(st.sampled_from([1, 2**32 - 1]), st.sampled_from([0, 1, 2**32 - 1])),
    st.tuples(
        st.sampled_from([1, 2**64 - 1]), st.booleans(), st.sampled_from([b"", b"a", b"\xff" * 16])
    ),
)


@given(st.lists(PROCESSES))
def test_each_reading_of_processes_is_what_the_map_holds(
    readings: list[dict[tuple[int, int], tuple[int, bool, bytes]]],
) -> None:
    reader = ProcessesReader()
    for entries in readings:
        keys = np.array(list(entries), dtype("process_key"))
        values = np.array(list(entries.values()), dtype("process"))
        assert reader.read(keys, values) == {
            ProcessKey(*key): Process(comm, cgroup_id, exited)
            for key, (cgroup_id, exited, comm) in entries.items()
        }


def test_a_process_that_is_as_it_was_is_not_made_anew() -> None:
    reader = ProcessesReader()
    keys = np.array([(1, 0), (2, 0)], dtype("process_key"))
    values = np.array([(7, 0, b"a"), (7, 0, b"b")], dtype("process"))
    first = reader.read(keys, values)
    values["exited"][1] = 5
    second = reader.read(keys, values)
    assert second[ProcessKey(1, 0)] is first[ProcessKey(1, 0)]
    assert second[ProcessKey(2, 0)] == Process(b"b", 7, True)
