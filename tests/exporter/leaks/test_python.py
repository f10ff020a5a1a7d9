# SPDX-License-Identifier: GPL-2.0-only
"""Frames of Python: lines by CPython's own table, and code objects of a process."""

import ctypes
import os
import random
import sys
import textwrap
from collections.abc import Iterator

import pytest

from fdscope.exporter.leaks import python
from fdscope.exporter.leaks.image import Image

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] not in python.LAYOUTS, reason="frames of this Python are not read"
)


def test_lines() -> None:
    """As the interpreter has them, for every instruction of its own modules."""
    for function in (textwrap.wrap, random.Random.shuffle, os.walk, os.fwalk, test_lines):
        code = function.__code__
        for start, end, line in code.co_lines():
            if line is not None:
                for place in range(start, end, 2):
                    found = python.line_of(code.co_linetable, code.co_firstlineno, place // 2)
                    assert found == line


@pytest.fixture
def reader() -> Iterator[python.PythonReader]:
    image = Image(os.getpid())
    found, why_not = python.reader_of(image)
    assert found, why_not
    yield found
    found.close()
    image.close()


def test_code_objects_of_this_process(reader: python.PythonReader) -> None:
    code = textwrap.wrap.__code__
    layout = python.LAYOUTS[sys.version_info[:2]]
    frame = reader.frame(id(code), id(code) + layout.instructions)
    assert frame
    assert frame.function == "wrap"
    assert frame.file == code.co_filename
    assert frame.line == code.co_firstlineno
    interpreter = reader.interpreter()
    thread = ctypes.c_uint64.from_address(interpreter.threads).value
    assert thread


@pytest.mark.parametrize("address", [0, 1, 1 << 63, (1 << 64) - 8])
def test_what_is_no_code_object(reader: python.PythonReader, address: int) -> None:
    assert reader.frame(address, address) is None
    text = "no code"
    assert reader.frame(id(text), id(text)) is None


def test_a_table_that_ends_early() -> None:
    with pytest.raises(IndexError):
        python.line_of(b"\xf0\xff", 1, 5)
