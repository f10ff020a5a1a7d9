# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's own call chains between door and socket layer, as the command shows them."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from probes.session import Session, attach
from probes.source import Settings
from probes.taxonomy import Account, FdType
from tests.kernel.conftest import in_child, modes
from tests.kernel.test_commands import fdscope

TIMES = 23


@pytest.fixture(scope="module")
def sampling() -> Iterator[Session]:
    session = attach(modes(), Settings(stacks_every=1))
    yield session
    session.close()


def paths(session: Session, account: Account) -> dict[str, int]:
    stacks = session.snapshot().stacks
    return {
        path: count
        for (fd_type, what, path), count in stacks.items()
        if (fd_type, what) == (FdType.UNIX_SEQPACKET, account)
    }


def test_doors_are_in_the_chains(sampling: Session) -> None:
    """On a kind of socket that hardly anybody uses."""
    if not sampling.sees_sockets:
        pytest.skip("this mode shows no socket layer on this kernel")

    def work() -> None:
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for _ in range(TIMES):
            os.write(one.fileno(), b"seven77")
            os.read(other.fileno(), 7)
            one.send(b"seven77")
            other.recv(7)

    in_child(work)
    sent, received = (
        paths(sampling, account) for account in (Account.SOCKET_SEND, Account.SOCKET_RECEIVE)
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


def test_ledger_command_with_stacks() -> None:
    code = (
        "import socket, time\n"
        "one, other = socket.socketpair()\n"
        "while True: one.send(b'x'); other.recv(1); time.sleep(0.01)\n"
    )
    busy = subprocess.Popen([sys.executable, "-c", code])
    try:
        report = fdscope("ledger", "--seconds=1", "--stacks")
    finally:
        busy.kill()
        busy.wait()
    if report["socket_layer"]:
        chains = [
            row["path"]
            for row in report["stacks"]
            if (row["fd_type"], row["direction"]) == ("unix_stream", "sent")
        ]
        assert any("__sys_sendto" in path for path in chains), report["stacks"]
