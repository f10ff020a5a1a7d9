# SPDX-License-Identifier: GPL-2.0-only
"""What open descriptors hold, against what the kernel, ss and lsof tell of them."""

import array
import fcntl
import os
import shutil
import socket
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fdscope.probes.read.census import EMPTY, ProcessFds
from fdscope.probes.read.session import Session
from fdscope.probes.schema.taxonomy import FdType
from tests.kernel.fds.test_census import census_of

PAGE = os.sysconf("SC_PAGESIZE")


class Change:
    """What the test process holds more than before."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._before = self._now()

    def _now(self) -> ProcessFds:
        return census_of(self._session, os.getpid())

    def unread(self, fd_type: FdType) -> int:
        before = self._before.queues.get(fd_type, EMPTY)
        return self._now().queues.get(fd_type, EMPTY).unread - before.unread

    def unsent(self, fd_type: FdType) -> int:
        before = self._before.queues.get(fd_type, EMPTY)
        return self._now().queues.get(fd_type, EMPTY).unsent - before.unsent

    def most_unread(self, fd_type: FdType) -> int:
        return self._now().queues.get(fd_type, EMPTY).most_unread

    def deleted(self, device: int) -> tuple[int, int]:
        """Descriptors and bytes."""
        before, now = self._before.deleted.get(device), self._now().deleted.get(device)
        files, size = (now.files, now.bytes) if now else (0, 0)
        return (files - before.files, size - before.bytes) if before else (files, size)

    def memfd_bytes(self) -> int:
        return self._now().memfd_bytes - self._before.memfd_bytes


@pytest.fixture
def change(session: Session) -> Change:
    return Change(session)


def waiting(fd: int, request: int) -> int:
    """FIONREAD, or TIOCOUTQ (SIOCOUTQ) for what is not sent."""
    number = array.array("i", [0])
    fcntl.ioctl(fd, request, number)
    return number[0]


@contextmanager
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        with client, server:
            yield client, server


def fill(sender: socket.socket) -> None:
    sender.setblocking(False)
    try:
        while True:
            sender.send(b"x" * 4096)
    except BlockingIOError:
        pass


def test_tcp(change: Change) -> None:
    """Bytes, as the ioctls have them: the slow reader has them unread, the other end unsent."""
    with connection() as (client, server):
        client.sendall(b"x" * 1234)
        while waiting(server.fileno(), termios.FIONREAD) < 1234:
            pass
        assert change.unread(FdType.TCP) == 1234
        assert change.most_unread(FdType.TCP) >= 1234
        fill(client)
        for _ in range(50):  # until what is on its way has come
            unsent = waiting(client.fileno(), termios.TIOCOUTQ)
            unread = waiting(server.fileno(), termios.FIONREAD)
            found = change.unsent(FdType.TCP), change.unread(FdType.TCP)
            _, received, sent = queues_of_ss(client)
            if found == (unsent, unread) and (received, sent) == (0, unsent):
                break
            time.sleep(0.1)
        assert found == (unsent, unread)
        assert (received, sent) == (0, unsent)
        assert unsent > 0
    assert change.unread(FdType.TCP) == change.unsent(FdType.TCP) == 0


def queues_of_ss(of: socket.socket) -> tuple[str, int, int]:
    """State, Recv-Q and Send-Q as ss shows them."""
    kind = "-tn" if of.type == socket.SOCK_STREAM else "-uan"
    port = of.getsockname()[1]
    text = subprocess.run(
        ["ss", "-H", kind, "sport", "=", f":{port}"], capture_output=True, text=True, check=True
    ).stdout
    state, received, sent = text.split()[:3]
    return state, int(received), int(sent)


def test_udp(change: Change) -> None:
    """Memory of the messages, as ss shows it."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        for _ in range(7):
            sender.sendto(b"x" * 300, receiver.getsockname())
        _, received, _ = queues_of_ss(receiver)
        assert received >= 7 * 300
        assert change.unread(FdType.UDP) == received


@pytest.mark.parametrize(
    ("kind", "fd_type"),
    [(socket.SOCK_STREAM, FdType.UNIX_STREAM), (socket.SOCK_DGRAM, FdType.UNIX_DGRAM)],
)
def test_unix(change: Change, kind: socket.SocketKind, fd_type: FdType) -> None:
    """What was sent and not taken is the sender's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    with ours, theirs:
        ours.send(b"x" * 5000)
        unsent = waiting(ours.fileno(), termios.TIOCOUTQ)
        assert unsent >= 5000
        assert change.unsent(fd_type) == unsent
        theirs.recv(10_000)
        assert change.unsent(fd_type) == 0


def test_pipes(change: Change) -> None:
    """Pages; the reading end has them unread, the writing end unsent."""
    reader, writer = os.pipe()
    try:
        os.write(writer, b"x" * (3 * PAGE))
        assert change.unread(FdType.FIFO) == 3 * PAGE == waiting(reader, termios.FIONREAD)
        os.write(writer, b"x")
        assert change.unread(FdType.FIFO) == 4 * PAGE
        assert change.unsent(FdType.FIFO) == 4 * PAGE
        os.read(reader, 4 * PAGE)
        assert change.unread(FdType.FIFO) == change.unsent(FdType.FIFO) == 0
    finally:
        os.close(reader)
        os.close(writer)


def kernel_device(number: int) -> int:
    """A device of stat as the kernel itself has it."""
    return os.major(number) << 20 | os.minor(number)


def test_deleted_files(change: Change, tmp_path: Path) -> None:
    """Number and space, as stat has them; a file with a name is none of these."""
    device = kernel_device(tmp_path.stat().st_dev)
    files = [(tmp_path / str(size)).open("wb") for size in (0, 10, 100_000)]
    try:
        for file, size in zip(files, (0, 10, 100_000), strict=True):
            file.write(b"x" * size)
            file.flush()
            os.fsync(file.fileno())
        assert change.deleted(device) == (0, 0)
        for file in files[1:]:
            Path(file.name).unlink()
        space = sum(os.fstat(file.fileno()).st_blocks * 512 for file in files[1:])
        assert change.deleted(device) == (2, space)
        assert space >= 100_000
        if shutil.which("lsof"):
            listed = subprocess.run(
                ["lsof", "-nP", "-a", "-p", str(os.getpid()), "+L1"],
                capture_output=True, text=True, check=False,
            ).stdout  # fmt: skip
            assert sum(str(tmp_path) in line for line in listed.splitlines()) == 2
    finally:
        for file in files:
            file.close()
    assert change.deleted(device) == (0, 0)


def test_more_filesystems_than_there_are_places(session: Session, tmp_path: Path) -> None:
    """Further ones are summed: none is left out."""
    change = Change(session)
    mounts = [tmp_path / str(n) for n in range(6)]
    fds = []
    try:
        for mount in mounts:
            mount.mkdir()
            done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", mount], check=False)
            if done.returncode:
                pytest.skip("no filesystem may be mounted here")
            fds.append(os.open(mount / "file", os.O_CREAT | os.O_RDWR))
            os.write(fds[-1], b"x" * (PAGE + 1))
            (mount / "file").unlink()
        now = census_of(session, os.getpid())
        before = sum(each.files for each in change._before.deleted.values())
        size = sum(each.bytes for each in change._before.deleted.values())
        assert sum(each.files for each in now.deleted.values()) == before + 6
        assert sum(each.bytes for each in now.deleted.values()) == size + 6 * 2 * PAGE
        assert len(now.deleted) <= 4
        assert 0 in now.deleted
    finally:
        for fd in fds:
            os.close(fd)
        for mount in mounts:
            subprocess.run(["umount", mount], check=False, capture_output=True)


def test_memfds(change: Change) -> None:
    fd = os.memfd_create("held")
    try:
        os.write(fd, b"x" * (5 * PAGE))
        assert change.memfd_bytes() == os.fstat(fd).st_blocks * 512 == 5 * PAGE
    finally:
        os.close(fd)
    assert change.memfd_bytes() == 0
