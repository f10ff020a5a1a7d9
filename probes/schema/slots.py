# SPDX-License-Identifier: GPL-2.0-only
"""Slot codes: what an amount counts, as a number. They are packed and unpacked here only.

A code is the last four bytes of a ``counters`` key, read as a little-endian u32: account, fd type,
via and errno, a byte each.
"""

import math
from functools import lru_cache
from typing import NamedTuple

from fdscope.probes.schema.taxonomy import (
    Account,
    Birth,
    Cause,
    Connection,
    DebugMethod,
    Door,
    FdType,
    Passing,
    Scope,
    Stdio,
)

KERNEL_SOCKET = 4
"""Added to the scope of a socket that no ``struct file`` stands for."""
UNKNOWN_ERRNO = 0xFF
"""Stands in a slot code for an error whose errno was not kept."""
OTHER_ERRNO = 0x100
"""Stands for errnos that are summed; the kernel side has no such code."""

_FD_TYPE_SHIFT, _VIA_SHIFT, ERRNO_SHIFT = 8, 16, 24

Via = Door | Scope | Birth | Cause | Passing | Stdio | Connection | DebugMethod

_FD_VIAS: dict[Account, type[Via]] = {
    Account.FD_OPENED: Birth,
    Account.FD_CLOSED: Cause,
    Account.FD_PASSED: Passing,
    Account.STDIO_SOCKET: Stdio,
    Account.CONNECTION: Connection,
    Account.DEBUG_ACCESS: DebugMethod,
    Account.FD_REFUSED: Birth,
}

OVERFLOW_SHAPE = (
    2,
    max(len(Door), 2 * KERNEL_SOCKET, *map(len, _FD_VIAS.values())),
    len(FdType),
    len(Account),
)
"""The overflow array, the last fastest: succeeded or failed, via, fd type, account."""
OVERFLOW_ENTRIES = math.prod(OVERFLOW_SHAPE)


class Slot(NamedTuple):
    """What an amount counts; ``errno`` is 0 for success."""

    account: Account
    fd_type: FdType
    via: Via
    """A door at the file layer, a scope at the socket layer, else a word of the account's own."""
    errno: int
    kernel: bool = False
    """At the socket layer: the kernel's own socket, no process's."""


@lru_cache(maxsize=4096)
def slot(code: int) -> Slot:
    """The slot behind a code; ValueError if no program writes it."""
    account, fd_type = Account(code & 0xFF), FdType(code >> _FD_TYPE_SHIFT & 0xFF)
    via, errno = code >> _VIA_SHIFT & 0xFF, code >> ERRNO_SHIFT
    if account.is_file:
        return Slot(account, fd_type, Door(via), errno)
    if account.is_fd:
        return Slot(account, fd_type, _FD_VIAS[account](via), errno)
    return Slot(account, fd_type, Scope(via & ~KERNEL_SOCKET), errno, bool(via & KERNEL_SOCKET))


def code_of(account: int, fd_type: int, via: int, errno: int = 0, kernel: bool = False) -> int:
    """The code of a slot; ``kernel`` as in ``Slot``."""
    via |= KERNEL_SOCKET if kernel else 0
    return account | fd_type << _FD_TYPE_SHIFT | via << _VIA_SHIFT | errno << ERRNO_SHIFT


def with_errno(code: int, errno: int) -> int:
    """The code of the same slot with another errno."""
    return code & (1 << ERRNO_SHIFT) - 1 | errno << ERRNO_SHIFT


def overflow_code(index: int) -> int:
    """The code that an index of the overflow array stands for; errno is not kept there."""
    rest, account = divmod(index, len(Account))
    rest, fd_type = divmod(rest, len(FdType))
    failed, via = divmod(rest, OVERFLOW_SHAPE[1])
    return code_of(account, fd_type, via, UNKNOWN_ERRNO if failed else 0)
