# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's own call chains between door and socket layer, as sampled."""

import os
import socket

import pytest

from fdscope.probes.read.session import Session
from fdscope.probes.schema.taxonomy import Account, FdType
from tests.kernel.conftest import can_follow_stacks, in_child

TIMES = 23


def paths(session: Session, account: Account) -> dict[str, int]:
    stacks = session.snapshot().stacks
    return {
        path: count
        for (fd_type, what, path), count in stacks.items()
        if (fd_type, what) == (FdType.UNIX_SEQPACKET, account)
    }


def test_doors_are_in_the_chains(measuring: Session) -> None:
    """On a kind of socket that hardly any program uses."""
    if not measuring.sees_sockets:
        pytest.skip("this mode shows no socket layer on this kernel")
    if not can_follow_stacks(measuring.mode):
        pytest.skip("the kernel cannot follow stacks from the return of a function")

    def work() -> None:
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for _ in range(TIMES):
            os.write(one.fileno(), b"seven77")
            os.read(other.fileno(), 7)
            one.send(b"seven77")
            other.recv(7)

    in_child(work)
    sent, received = (
        paths(measuring, account) for account in (Account.SOCKET_SEND, Account.SOCKET_RECEIVE)
    )
    assert sum(sent.values()) >= 2 * TIMES
    for chains, door, call in (
        (sent, "vfs_write", "__sys_sendto"),
        (received, "vfs_read", "__sys_recvfrom"),
    ):
        functions = [path.split(" > ") for path, count in chains.items() if count >= TIMES]
        assert any(door in path for path in functions), chains
        assert any(call in path for path in functions), chains
        assert not any(
            name.startswith(("bpf_", "do_syscall")) for path in functions for name in path
        )
