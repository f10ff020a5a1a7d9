# SPDX-License-Identifier: GPL-2.0-only
"""TCP sockets by state and queues of listeners in the census, against ``ss`` and the kernel."""

import ctypes
import os
import re
import socket
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from fdscope.probes.read.census import Listening
from fdscope.probes.read.session import Session
from fdscope.probes.schema.taxonomy import FdType, TcpState
from tests.kernel.fds.test_census import census_of

_STATES = {
    "ESTAB": TcpState.ESTABLISHED, "SYN-SENT": TcpState.SYN_SENT, "LISTEN": TcpState.LISTEN,
    "CLOSE-WAIT": TcpState.CLOSE_WAIT, "FIN-WAIT-2": TcpState.FIN_WAIT2, "UNCONN": TcpState.CLOSE,
}  # fmt: skip
_SECONDS = 20
_SO_ATTACH_FILTER = 26


def by_ss(port: int) -> Counter[TcpState]:
    """States of the TCP sockets at a port that have an fd of this process, as ss has them."""
    command = ["ss", "-Htanp", f"sport = :{port} or dport = :{port}"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    own = [line for line in text.splitlines() if f"pid={os.getpid()}," in line]
    return Counter(_STATES[line.split()[0]] for line in own)


def tcp_of_this_process(session: Session) -> Counter[TcpState]:
    return Counter(census_of(session, os.getpid()).tcp)


@contextmanager
def connections(backlog: int, count: int) -> Iterator[tuple[socket.socket, list[socket.socket]]]:
    """A listening socket, and connections to it that nobody has accepted."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=backlog))
        made = [
            stack.enter_context(socket.create_connection(listener.getsockname()))
            for _ in range(count)
        ]
        yield listener, made


def test_states_are_those_of_ss(session: Session) -> None:
    before = tcp_of_this_process(session)
    with connections(8, 6) as (listener, clients), ExitStack() as stack:
        servers = [stack.enter_context(listener.accept()[0]) for _ in range(5)]
        clients[0].close()  # the server's end: close_wait
        clients[1].shutdown(socket.SHUT_WR)  # the client's end: fin_wait2; the server's: close_wait
        assert servers[0].recv(1) == b""
        assert servers[1].recv(1) == b""
        stack.enter_context(socket.socket())
        port = listener.getsockname()[1]
        deadline = time.monotonic() + _SECONDS
        while not (more := tcp_of_this_process(session) - before)[TcpState.FIN_WAIT2]:
            assert time.monotonic() < deadline, more  # the answer to its FIN is on its way
            time.sleep(0.02)
        assert more == by_ss(port) + Counter({TcpState.CLOSE: 1})
        assert more[TcpState.CLOSE_WAIT] == 2
        assert more[TcpState.FIN_WAIT2] == 1
        assert more[TcpState.LISTEN] == 1
        found = census_of(session, os.getpid())
        assert sum(found.tcp.values()) == found.counts[FdType.TCP]


def test_both_protocol_families(session: Session) -> None:
    before = tcp_of_this_process(session)
    if not socket.has_ipv6:
        pytest.skip("this kernel has no IPv6")
    with socket.socket(socket.AF_INET6) as one, socket.socket() as other:
        for each in (one, other):
            each.listen(3)
        assert tcp_of_this_process(session) - before == Counter({TcpState.LISTEN: 2})


def test_the_queue_of_a_listener(session: Session) -> None:
    def listening() -> Listening:
        found = census_of(session, os.getpid()).listening
        assert found is not None
        return found

    with connections(4, 3) as (listener, _):
        port = listener.getsockname()[1]
        command = ["ss", "-Htln", f"sport = :{port}"]
        state, waiting, backlog, *_ = subprocess.check_output(command, text=True).split()
        assert (state, waiting, backlog) == ("LISTEN", "3", "4")
        found = listening()
        assert found.waiting == 3
        assert found.fullest == 0.75
        with listener.accept()[0]:
            assert listening().waiting == 2
    assert census_of(session, os.getpid()).listening is None


def test_an_overflow_is_counted_as_ss_counts_it(session: Session) -> None:
    with connections(1, 2) as (listener, _), socket.socket() as late:
        port = listener.getsockname()[1]
        late.setblocking(False)
        late.connect_ex(listener.getsockname())
        deadline = time.monotonic() + _SECONDS
        while True:
            found = census_of(session, os.getpid()).listening
            assert found is not None
            if found.drops or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        assert found.fullest == 2  # the kernel lets one more in than the backlog says
        shown = subprocess.check_output(["ss", "-Htlnm", f"sport = :{port}"], text=True)
        drops = re.search(r",d(\d+)\)", shown)
        assert drops
        assert 0 < found.drops <= int(drops[1])


def test_a_handshake_that_is_not_done(session: Session) -> None:
    """The client drops the answer: SYN_SENT there, and here SYN_RECV, which has no fd."""
    before = tcp_of_this_process(session)
    with connections(8, 0) as (listener, _), socket.socket() as deaf:
        drop = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0), 8)  # return 0
        program = struct.pack("HP", 1, ctypes.addressof(drop))
        deaf.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
        deaf.setblocking(False)
        deaf.connect_ex(listener.getsockname())
        more = tcp_of_this_process(session) - before
        assert more == {TcpState.LISTEN: 1, TcpState.SYN_SENT: 1, TcpState.SYN_RECV: 1}
        port = listener.getsockname()[1]
        command = ["ss", "-Htan", "state", "syn-recv", f"sport = :{port}"]
        assert len(subprocess.check_output(command, text=True).splitlines()) == 1
