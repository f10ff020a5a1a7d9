# SPDX-License-Identifier: GPL-2.0-only
"""Calls that look like others: without a message, of the error queue, of the kernel itself."""

import ctypes
import errno
import mmap
import os
import platform
import select
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fdscope.probes.read.session import Session
from fdscope.probes.schema.slots import UNKNOWN_ERRNO, slot
from fdscope.probes.schema.snapshot import Snapshot
from fdscope.probes.schema.taxonomy import Account, Connection, Door, FdType, Loss, Mode, Scope
from fdscope.probes.selftest.raw_calls import Messages, address, call
from tests.kernel.conftest import Run
from tests.kernel.fds.every_fd_type import LIBC
from tests.kernel.fds.fd_life import count
from tests.kernel.layers.test_doors import a_pipe, a_tcp
from tests.kernel.processes.living import wait_until_in

READ, WRITE = Account.FILE_READ, Account.FILE_WRITE
MSG_ERRQUEUE = 0x2000
IP_RECVERR = 11
IPPROTO_MPTCP = 262
CLONE_NEWNET = 0x40000000
SIZE = 57


def test_a_call_of_no_message_is_no_operation(run: Run) -> None:
    def work() -> None:
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        none = Messages(1, 1)
        none.count = 0
        for _ in range(3):
            assert none.send(one.fileno()) == 0
            assert none.receive(other.fileno()) == 0
        with pytest.raises(BlockingIOError):
            Messages(2, 9).receive(other.fileno(), socket.MSG_DONTWAIT)

    counted = run(work)
    assert {key for key in counted if key[0].is_file and key[1] is FdType.UNIX_DGRAM} == {
        (READ, FdType.UNIX_DGRAM, Door.SOCKET_CALL, errno.EAGAIN)
    }
    assert counted[READ, FdType.UNIX_DGRAM, Door.SOCKET_CALL, errno.EAGAIN] == (1, 0)


def test_each_message_counts_once_where_fewer_come_than_asked_for(run: Run) -> None:
    def work() -> None:
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        assert Messages(3, 9).send(one.fileno()) == 3
        assert Messages(8, 9).receive(other.fileno(), socket.MSG_DONTWAIT) == 3

    counted = run(work)
    for account in (READ, WRITE):
        assert counted[account, FdType.UNIX_DGRAM, Door.SOCKET_CALL, 0] == (3, 27)


def test_the_error_queue_is_not_received(session: Session, run: Run) -> None:
    def work() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
            closed.bind(("127.0.0.1", 0))
            nobody = closed.getsockname()
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        sock.connect(nobody)
        receives: list[Callable[[], bytes]] = [
            lambda: sock.recvmsg(100, 200, MSG_ERRQUEUE)[0],
            lambda: sock.recv(100, MSG_ERRQUEUE),
            lambda: sock.recv(100, MSG_ERRQUEUE | socket.MSG_PEEK),
        ]
        for receive in receives:
            sock.send(bytes(SIZE))
            poll = select.poll()
            poll.register(sock, 0)
            assert poll.poll(10_000)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
            assert len(receive()) == SIZE

    counted = run(work)
    assert counted[Account.FILE_ERRQUEUE, FdType.UDP, Door.SOCKET_CALL, 0] == (3, 3 * SIZE)
    assert counted[WRITE, FdType.UDP, Door.SOCKET_CALL, 0] == (3, 3 * SIZE)
    received = (READ, Account.SOCKET_RECEIVE)
    assert not [key for key in counted if key[0] in received and key[1] is FdType.UDP]
    if session.sees_sockets:
        what = Account.SOCKET_ERRQUEUE, FdType.UDP, Scope.LOOPBACK, 0
        assert counted[what] == (3, 3 * SIZE)


def test_sockets_without_an_error_queue_receive_what_was_sent(session: Session, run: Run) -> None:
    def work() -> None:
        one, other = socket.socketpair()
        one.send(bytes(SIZE))
        assert len(other.recv(100, MSG_ERRQUEUE)) == SIZE

    counted = run(work)
    assert counted[READ, FdType.UNIX_STREAM, Door.SOCKET_CALL, 0] == (1, SIZE)
    if session.sees_sockets:
        assert counted[Account.SOCKET_RECEIVE, FdType.UNIX_STREAM, Scope.LOCAL, 0] == (1, SIZE)


def connect(client: socket.socket, where: tuple[str, int]) -> None:
    """The kernel adds the route of an IPv6 address some time after the address."""
    deadline = time.monotonic() + 30
    while (error := client.connect_ex(where)) == errno.ENETUNREACH:
        assert time.monotonic() < deadline, "no route to the address"
        time.sleep(0.01)
    assert error == 0, os.strerror(error)


def between(ours: str, theirs: str, protocol: int) -> None:
    """A connection between two addresses of a new network namespace, used both ways."""
    family = socket.AF_INET6 if ":" in ours else socket.AF_INET
    assert LIBC.unshare(CLONE_NEWNET) == 0
    at_once = " nodad" if family == socket.AF_INET6 else ""
    addresses = [f"addr add {address} dev lo{at_once}" for address in (ours, theirs)]
    for command in ("link set lo up", *addresses):
        subprocess.run(["ip", *command.split()], check=False, capture_output=True)
    listener = socket.socket(family, socket.SOCK_STREAM, protocol)
    listener.bind((theirs, 0))
    listener.listen()
    client = socket.socket(family, socket.SOCK_STREAM, protocol)
    client.bind((ours, 0))
    connect(client, listener.getsockname()[:2])
    server, _ = listener.accept()
    client.send(bytes(SIZE))
    assert len(server.recv(100)) == SIZE
    server.send(bytes(SIZE))
    assert len(client.recv(100)) == SIZE


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("198.51.100.1", "198.51.100.2"),
        ("127.0.0.1", "198.51.100.2"),
        ("198.51.100.1", "127.0.0.1"),
        ("2001:db8::1", "2001:db8::2"),
        ("2001:db8::1", "::1"),
    ],
)
@pytest.mark.parametrize("protocol", [socket.IPPROTO_TCP, IPPROTO_MPTCP], ids=["tcp", "mptcp"])
def test_both_ends_on_this_host(
    ours: str, theirs: str, protocol: int, session: Session, run: Run
) -> None:
    """The scope is the same on both sides, whichever of the host's addresses they use."""
    if protocol == IPPROTO_MPTCP:
        try:
            socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol).close()
        except OSError as error:
            pytest.skip(f"this kernel has no MPTCP: {error}")
    counted = run(lambda: between(ours, theirs, protocol))
    for connection in (Connection.CONNECT_LOOPBACK, Connection.ACCEPT_LOOPBACK):
        assert count(counted, Account.CONNECTION, FdType.TCP, connection) == 1, counted
    for account in (Account.SOCKET_SEND, Account.SOCKET_RECEIVE):
        scopes = {key[2] for key in counted if key[0] is account and key[1] is FdType.TCP}
        assert scopes == ({Scope.LOOPBACK} if session.sees_sockets else set())


class Sockmap:
    """A sockmap whose program forwards what the first socket receives to the other."""

    _MAP_CREATE, _MAP_UPDATE, _PROG_LOAD, _PROG_ATTACH = 0, 2, 5, 8
    _SOCKMAP, _SK_SKB, _STREAM_PARSER, _STREAM_VERDICT = 15, 14, 4, 5

    def __init__(self) -> None:
        self.map = self._bpf(self._MAP_CREATE, struct.pack("<4I", self._SOCKMAP, 4, 4, 2))
        parser = struct.pack("<BBhi", 0x61, 0x10, 0, 0)  # r0 = skb->len
        verdict = (
            struct.pack("<BBhiBBhi", 0x18, 0x12, 0, self.map, 0, 0, 0, 0)  # r2 = map
            + struct.pack("<BBhi", 0xB7, 3, 0, 1)  # r3 = 1, the key
            + struct.pack("<BBhi", 0xB7, 4, 0, 0)  # r4 = 0: outwards
            + struct.pack("<BBhi", 0x85, 0, 0, 52)  # bpf_sk_redirect_map()
        )
        self._attach(parser, self._STREAM_PARSER)
        self._attach(verdict, self._STREAM_VERDICT)

    def __setitem__(self, key: int, sock: socket.socket) -> None:
        where, what = (
            ctypes.create_string_buffer(struct.pack("<I", n), 4) for n in (key, sock.fileno())
        )
        attributes = struct.pack("<IIQQQ", self.map, 0, address(where), address(what), 0)
        self._bpf(self._MAP_UPDATE, attributes)

    def _bpf(self, command: int, attributes: bytes) -> int:
        padded = ctypes.create_string_buffer(attributes.ljust(120, b"\0"), 120)
        return call("bpf", command, padded, 120)

    def _attach(self, program: bytes, attach_type: int) -> None:
        program += struct.pack("<BBhi", 0x95, 0, 0, 0)  # exit
        code = ctypes.create_string_buffer(program, len(program))
        text = ctypes.create_string_buffer(b"GPL")
        fields = self._SK_SKB, len(program) // 8, address(code), address(text)
        loaded = self._bpf(self._PROG_LOAD, struct.pack("<IIQQ", *fields))
        self._bpf(self._PROG_ATTACH, struct.pack("<IIII", self.map, loaded, attach_type, 0))


def sent_by_kworkers(snapshot: Snapshot) -> tuple[int, int]:
    """TCP bytes: on sockets of processes, and on those that are the kernel's."""
    sums = [0, 0]
    for key, amounts in snapshot.amounts.items():
        process = snapshot.processes.get(key)
        if process and process.name.startswith(b"kworker"):
            for code, amount in amounts.items():
                what = slot(code)
                if what[:2] == (Account.SOCKET_SEND, FdType.TCP):
                    sums[what.kernel] += amount.bytes
    return sums[0], sums[1]


def test_a_thread_of_the_kernel_works_on_a_socket_of_a_process(session: Session, run: Run) -> None:
    """As with nbd and iscsi: no door counts these bytes, so they are the kernel's."""
    if not session.sees_sockets:
        pytest.skip("this kernel shows no socket layer in this mode")
    try:
        Sockmap()
    except OSError as error:
        pytest.skip(f"no sockets can be handed to the kernel here: {error}")

    def work() -> None:
        first, second = ([socket.socket(fileno=fd) for fd in a_tcp()] for _ in range(2))
        sockets = Sockmap()
        sockets[0], sockets[1] = first[1], second[0]
        first[0].send(bytes(SIZE))
        assert len(second[1].recv(100)) == SIZE

    of_processes, of_kernel = sent_by_kworkers(session.snapshot())
    counted = run(work)
    after = sent_by_kworkers(session.snapshot())
    assert counted[Account.SOCKET_SEND, FdType.TCP, Scope.LOOPBACK, 0].bytes == SIZE
    # Without the tracepoint the kernel sends past the functions that are hooked instead.
    hooked = any(hook.function == "sock_send_length" for hook in session.report.hooks)
    assert after == (of_processes, of_kernel + (SIZE if hooked else 0))


def answer(number: int, error: int) -> None:
    """Have the kernel's seccomp answer a system call of this process with an error."""

    def instruction(code: int, yes: int, no: int, value: int) -> bytes:
        return struct.pack("<HBBI", code, yes, no, value)

    filters = (
        instruction(0x20, 0, 0, 0)  # load the number
        + instruction(0x15, 0, 1, number)
        + instruction(0x06, 0, 0, 0x00050000 | error)  # SECCOMP_RET_ERRNO
        + instruction(0x06, 0, 0, 0x7FFF0000)  # SECCOMP_RET_ALLOW
    )
    code = ctypes.create_string_buffer(filters, len(filters))
    program = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", 4, address(code)), 16)
    assert LIBC.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    assert LIBC.prctl(22, 2, program) == 0  # PR_SET_SECCOMP


@pytest.mark.parametrize(
    ("error", "kept"),
    [(254, 254), (256, UNKNOWN_ERRNO), (300, UNKNOWN_ERRNO), (524, UNKNOWN_ERRNO)],
)
def test_errors_of_any_number(error: int, kept: int, session: Session, run: Run) -> None:
    """256 is no success, 300 is not 44, and 524 (ENOTSUPP) is no restart."""
    if session.mode is not Mode.TRACEPOINT or platform.machine() != "x86_64":
        pytest.skip("seccomp answers before the functions that are hooked are called")

    def work() -> None:
        _, pipe_out = a_pipe()
        answer(295, error)  # preadv
        assert LIBC.syscall(295, pipe_out, None, 0, 0, 0) == -1
        assert ctypes.get_errno() == error

    counted = run(work)
    assert {key: n for key, n in counted.items() if key[1:3] == (FdType.FIFO, Door.VECTORED)} == {
        (READ, FdType.FIFO, Door.VECTORED, kept): (1, 0)
    }


def alone(pid: int) -> bool:
    return len(list(Path(f"/proc/{pid}/task").iterdir())) == 1


@pytest.mark.parametrize("door", [Door.READ_WRITE, Door.SOCKET_CALL])
def test_the_thread_that_replaced_the_fd_has_ended(door: Door, run: Run) -> None:
    """The operation still belongs to the file that it began with; the next one to the new file."""

    def work() -> None:
        ours, theirs = socket.socketpair()
        fd, reader = ours.fileno(), os.getpid()
        other, other_in = os.pipe()
        replaced, replaced_in = os.pipe()
        if os.fork() == 0:
            os.read(replaced, 1)
            while not alone(reader):
                time.sleep(0.01)
            theirs.send(bytes(SIZE))
            os._exit(0)

        def replace() -> None:
            wait_until_in(reader, "read", "recvfrom")
            os.dup2(other, fd)
            os.write(replaced_in, b"x")

        threading.Thread(target=replace).start()
        if door is Door.READ_WRITE:
            assert len(os.read(fd, 100)) == SIZE
        else:
            assert len(ours.recv(100)) == SIZE
        os.write(other_in, b"seven77")
        assert os.read(fd, 100) == b"seven77"

    counted = run(work)
    assert counted[READ, FdType.UNIX_STREAM, door, 0] == (1, SIZE)
    assert counted[READ, FdType.FIFO, Door.READ_WRITE, 0].bytes == 7


def asked_again(client: socket.socket, where: tuple[str, int]) -> None:
    assert client.connect_ex(where) == errno.EINPROGRESS
    select.select([], [client], [], 10)
    assert client.connect_ex(where) == 0


def asked_again_too_early(client: socket.socket, where: tuple[str, int]) -> None:
    while client.connect_ex(where):
        select.select([], [client], [], 0.01)


@pytest.mark.parametrize("connect", [asked_again, asked_again_too_early])
def test_a_connection_counts_once_however_often_it_is_asked_for(
    connect: Callable[[socket.socket, tuple[str, int]], None], run: Run
) -> None:
    def work() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        for _ in range(3):
            client = socket.socket()
            client.setblocking(False)
            connect(client, listener.getsockname())
            client.close()
        socket.create_connection(listener.getsockname())

    counted = run(work)
    assert count(counted, Account.CONNECTION, FdType.TCP, Connection.CONNECT_LOOPBACK) == 4


def test_memory_that_is_gone_at_the_return_is_told(session: Session, run: Run) -> None:
    def work() -> None:
        path = f"/tmp/fdscope-gone-{os.getpid()}"  # noqa: S108
        memory = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        place = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        memory[:110] = struct.pack("<H", socket.AF_UNIX) + path.encode().ljust(108, b"\0")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(0)
        socket.socket(socket.AF_UNIX).connect(path)
        waits = socket.socket(socket.AF_UNIX)
        results: list[int] = []
        connecting = threading.Thread(
            target=lambda: results.append(LIBC.connect(waits.fileno(), ctypes.c_void_p(place), 110))
        )
        connecting.start()
        assert connecting.native_id
        wait_until_in(connecting.native_id, "connect")
        assert LIBC.madvise(ctypes.c_void_p(place), ctypes.c_size_t(mmap.PAGESIZE), 4) == 0
        listener.accept()
        connecting.join()
        os.unlink(path)  # noqa: PTH108
        assert results == [0]
        os._exit(0)

    before = session.snapshot().losses[Loss.USER_MEMORY]
    run(work)
    assert session.snapshot().losses[Loss.USER_MEMORY] >= before + 1
