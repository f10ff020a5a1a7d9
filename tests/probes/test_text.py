# SPDX-License-Identifier: GPL-2.0-only
"""Text from outside is printable, whatever it is."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdscope.probes.text import printable


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"nginx", "nginx"),
        ("größe 大".encode(), "größe 大"),
        (b"a\xff.service", r"a\xff.service"),
        (b"two\nlines\t\0\x1b[31m\x7f", r"two\x0alines\x09\x00\x1b[31m\x7f"),
        (rb"dev-disk-by\x2duuid.device", r"dev-disk-by\x2duuid.device"),
        ("abc\u202ecba", r"abc\u202ecba"),
        ("\u2028", r"\u2028"),
        ("\ud800", r"\ud800"),
        ("\U000e0001", r"\U000e0001"),
        (os.fsdecode(b"\xc3("), r"\xc3("),
        ("", ""),
    ],
)
def test_what_does_not_print_is_escaped(raw: bytes | str, text: str) -> None:
    assert printable(raw) == text


@given(st.binary() | st.text(st.characters(codec=None)))
def test_anything_becomes_one_line_of_valid_unicode(raw: bytes | str) -> None:
    text = printable(raw)
    assert text.isprintable()
    assert text.encode("utf-8").decode("utf-8") == text
    assert printable(text) == text


@given(st.binary())
def test_a_name_is_the_same_as_bytes_and_as_python_decodes_it(raw: bytes) -> None:
    assert printable(raw) == printable(os.fsdecode(raw))
