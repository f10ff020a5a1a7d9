# SPDX-License-Identifier: GPL-2.0-only
"""Layouts that C and Python share."""

from fdscope.probes.schema.records import RECORDS, c_structs, dtype


def test_a_slot_code_is_the_end_of_a_counter_key() -> None:
    offsets = {name: place[1] for name, place in dtype("counter_key").fields.items()}  # type: ignore[union-attr]  # it has fields
    assert offsets == {"tgid": 0, "start": 4, "account": 8, "fd_type": 9, "via": 10, "error": 11}
    assert dtype("counter_key").itemsize == 12


def test_the_compiler_checks_each_layout() -> None:
    text = c_structs()
    for name in RECORDS:
        assert f"_Static_assert(sizeof(struct {name}) == {dtype(name).itemsize}," in text
    assert '_Static_assert(__builtin_offsetof(struct counter_key, error) == 11, "error");' in text
