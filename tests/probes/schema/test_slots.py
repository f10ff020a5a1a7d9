# SPDX-License-Identifier: GPL-2.0-only
"""Codes are read back as what they were made of, and are the end of a counter key."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fdscope.probes.schema.records import dtype
from fdscope.probes.schema.slots import (
    OVERFLOW_ENTRIES,
    OVERFLOW_SHAPE,
    UNKNOWN_ERRNO,
    code_of,
    overflow_code,
    slot,
    with_errno,
)
from fdscope.probes.schema.taxonomy import Account, Birth, Door, FdType, Scope

ERRNOS = st.integers(0, UNKNOWN_ERRNO)


@given(st.sampled_from(FdType), st.sampled_from(Door), ERRNOS)
def test_of_the_file_layer(fd_type: FdType, door: Door, errno: int) -> None:
    code = code_of(Account.FILE_READ, fd_type, door, errno)
    assert slot(code) == (Account.FILE_READ, fd_type, door, errno, False)


@given(st.sampled_from(FdType), st.sampled_from(Scope), st.booleans())
def test_of_the_socket_layer(fd_type: FdType, scope: Scope, kernel: bool) -> None:
    code = code_of(Account.SOCKET_SEND, fd_type, scope, kernel=kernel)
    assert slot(code) == (Account.SOCKET_SEND, fd_type, scope, 0, kernel)


@given(ERRNOS, ERRNOS)
def test_another_errno(before: int, after: int) -> None:
    code = code_of(Account.FD_REFUSED, FdType.OTHER, Birth.OPEN, before)
    assert with_errno(code, after) == code_of(Account.FD_REFUSED, FdType.OTHER, Birth.OPEN, after)


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255), ERRNOS)
def test_the_kernel_side_writes_the_same(account: int, fd_type: int, via: int, errno: int) -> None:
    key = np.zeros(1, dtype("counter_key"))
    key["account"], key["fd_type"], key["via"], key["error"] = account, fd_type, via, errno
    assert key.view("<u4")[2] == code_of(account, fd_type, via, errno)


@given(st.integers(0, OVERFLOW_ENTRIES - 1))
def test_of_the_overflow_array(index: int) -> None:
    failed, via, fd_type, account = map(int, np.unravel_index(index, OVERFLOW_SHAPE))
    errno = UNKNOWN_ERRNO if failed else 0
    assert overflow_code(index) == code_of(account, fd_type, via, errno)
