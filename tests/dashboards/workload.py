# SPDX-License-Identifier: GPL-2.0-only
"""A small host: lasting processes that use every door and all common fd types.

``python -m tests.dashboards.workload`` runs it until SIGTERM; its processes end with it.
"""

import ctypes
import gc
import os
import signal
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from fdscope.probes.schema.taxonomy import FdType
from fdscope.probes.selftest import cases
from fdscope.probes.selftest import fds as files

_CHUNK = bytes(65536)
_PAUSE_SECONDS = 0.02
_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_NAME, _PR_SET_PDEATHSIG = 15, 1
_PIDFD_GETFD = 438
_FAN_CLASS_CONTENT, _FAN_CLOEXEC, _FAN_MARK_ADD = 4, 1, 1
_FAN_OPEN_PERM, _FAN_ALLOW = 0x10000, 1


def _drain(read: Callable[[], bytes]) -> None:
    threading.Thread(target=lambda: [None for _ in iter(read, b"")], daemon=True).start()


def web_server() -> None:
    """TCP by send and recv, answers by sendfile."""
    ends = files.tcp()
    client, server = socket.socket(fileno=ends.write), socket.socket(fileno=ends.read)
    page = tempfile.TemporaryFile(dir="/var/tmp")  # noqa: SIM115 - as long as the process
    page.write(_CHUNK * 4)
    page.flush()
    while True:
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        server.recv(100)
        os.sendfile(server.fileno(), page.fileno(), 0, len(_CHUNK))
        client.recv(len(_CHUNK), socket.MSG_WAITALL)
        time.sleep(_PAUSE_SECONDS)


def database() -> None:
    """A unix stream used like any file, by read and write; and a log by writev."""
    ends = files.unix_stream()
    log = files.regular()
    while True:
        os.write(ends.write, _CHUNK[:16384])
        os.read(ends.read, 16384)
        os.writev(log.write, [b"line ", _CHUNK[:4096]])
        os.pread(log.read, 8192, 0)
        if os.lseek(log.write, 0, os.SEEK_CUR) > 1 << 20:
            os.lseek(log.write, 0, os.SEEK_SET)
        time.sleep(_PAUSE_SECONDS)


def resolver() -> None:
    """UDP by messages."""
    ends = files.udp()
    one, other = socket.socket(fileno=ends.write), socket.socket(fileno=ends.read)
    while True:
        one.send(_CHUNK[:120])
        other.recv(2000)
        other.sendmsg([_CHUNK[:300]])
        one.recvmsg(2000)
        time.sleep(_PAUSE_SECONDS)


def proxy() -> None:
    """TCP spliced through a pipe into another connection."""
    one, other, pipe = files.tcp(), files.tcp(), files.fifo()
    _drain(lambda: os.read(other.read, 65536))
    while True:
        os.write(one.write, _CHUNK[:32768])
        left = 32768
        while left:
            count = os.splice(one.read, pipe.write, left)
            os.splice(pipe.read, other.write, count)
            left -= count
        time.sleep(_PAUSE_SECONDS)


def pipeline() -> None:
    """A pipe and a terminal."""
    pipe, terminal = files.fifo(), files.tty()
    while True:
        os.write(pipe.write, _CHUNK[:8192])
        os.read(pipe.read, 8192)
        os.write(terminal.write, b"progress\n")
        os.read(terminal.read, 100)
        time.sleep(_PAUSE_SECONDS)


def capture() -> None:
    """A packet socket that reads what passes over loopback, its standard input a socket."""
    every_protocol = 3
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(every_protocol))
    tap.bind(("lo", every_protocol))
    while True:
        for _ in range(50):
            tap.recv(2048)
        time.sleep(0.05)


def backdoor() -> None:
    """Standard fds that are a socket, as of a reverse shell."""
    ends = files.tcp()
    while True:
        for fd in (0, 1, 2):
            os.dup2(ends.read, fd)
        os.write(ends.write, b"id\n")
        os.read(0, 100)
        os.write(1, b"uid=0\n")
        os.read(ends.write, 100)
        time.sleep(0.2)


def leak() -> None:
    """Opens more and more."""
    held: list[int] = []
    while True:
        held.append(os.open("/dev/null", os.O_WRONLY))
        os.write(held[-1], b"x")
        time.sleep(0.5)
        if len(held) > 900:
            os.closerange(held[0], held[-1])
            held.clear()


def stalled() -> None:
    """Nobody reads: bytes wait in a pipe and at both ends of a connection."""
    ends, pipe = files.tcp(), files.fifo()
    sender = socket.socket(fileno=ends.write)
    sender.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            sender.send(_CHUNK)
    os.write(pipe.write, _CHUNK[:4096])
    while True:
        signal.pause()


def broker() -> None:
    """Passes descriptors through a unix socket, connects again and again, and fails at times."""
    ends = files.unix_stream()
    one, other = socket.socket(fileno=ends.write), socket.socket(fileno=ends.read)
    listener = socket.create_server(("127.0.0.1", 0))
    nobody_reads = files.fifo()
    os.close(nobody_reads.read)
    while True:
        with suppress(BrokenPipeError):
            os.write(nobody_reads.write, b"x")
        with tempfile.TemporaryFile() as file:
            socket.send_fds(one, [b"x"], [file.fileno()])
            _, fds, _, _ = socket.recv_fds(other, 10, 1)
            os.close(fds[0])
        with socket.create_connection(listener.getsockname()) as client:
            peer, _ = listener.accept()
            with peer:
                client.send(b"hello")
                peer.recv(10)
                peer.setblocking(False)
                for _ in range(2):
                    try:
                        peer.recv(10)
                    except BlockingIOError:
                        continue
        time.sleep(0.1)


def every_door() -> None:
    """All cases of the self-test, each in a process that ends."""
    while True:
        for case in cases.CASES:
            pid = os.fork()
            if pid == 0:
                try:
                    case.run()
                finally:
                    os._exit(0)
            os.waitpid(pid, 0)
        time.sleep(1)


def rings() -> None:
    """io_uring, aio and copy_file_range by a lasting process."""
    while True:
        for fd_type in (FdType.TCP, FdType.REGULAR):
            with suppress(OSError):
                cases.io_uring(fd_type)
        for case in (cases.aio, cases.copy_file_range):
            with suppress(OSError):
                case()
        gc.collect()
        os.closerange(3, 200)
        time.sleep(0.2)


def inspector() -> None:
    """Copies a descriptor of another process, like a debugger."""
    held = os.open("/dev/null", os.O_RDONLY)
    child = os.fork()
    if child == 0:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        signal.pause()
    pidfd = os.pidfd_open(child)
    while True:
        taken = _LIBC.syscall(_PIDFD_GETFD, pidfd, held, 0)
        os.close(taken)
        time.sleep(0.5)


def guard() -> None:
    """A fanotify permission group that decides on opening one of its files."""
    group = _LIBC.fanotify_init(_FAN_CLASS_CONTENT | _FAN_CLOEXEC, os.O_RDONLY)
    with tempfile.NamedTemporaryFile() as file:
        event = ctypes.c_uint64(_FAN_OPEN_PERM)
        if _LIBC.fanotify_mark(group, _FAN_MARK_ADD, event, -1, file.name.encode()):
            raise OSError(ctypes.get_errno(), "fanotify_mark")
        threading.Thread(target=_open_again_and_again, args=(file.name,), daemon=True).start()
        while True:
            for _, _, _, _, _, fd, _ in struct.iter_unpack("=IBBHQii", os.read(group, 4096)):
                os.write(group, struct.pack("=iI", fd, _FAN_ALLOW))
                os.close(fd)


def _open_again_and_again(name: str) -> None:
    while True:
        os.close(os.open(name, os.O_RDONLY))
        time.sleep(0.2)


PROCESSES: dict[str, Callable[[], None]] = {
    "web-server": web_server,
    "database": database,
    "resolver": resolver,
    "proxy": proxy,
    "pipeline": pipeline,
    "capture": capture,
    "backdoor": backdoor,
    "leak": leak,
    "broker": broker,
    "stalled": stalled,
    "every-door": every_door,
    "rings": rings,
    "inspector": inspector,
    "guard": guard,
}


def start(name: str, parent: int) -> int:
    """Start a process of that name, which ends with its parent; return its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        _LIBC.prctl(_PR_SET_NAME, name.encode())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
        if os.getppid() == parent:
            PROCESSES[name]()
    finally:
        os._exit(1)


def burst(name: str, chunk: int, count: int, life: float) -> None:
    """So many processes of that name; each writes a chunk, lives for some seconds, and ends."""
    pids = []
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            _LIBC.prctl(_PR_SET_NAME, name.encode())
            os.write(os.open("/dev/null", os.O_WRONLY), bytes(chunk))
            time.sleep(life)
            os._exit(0)
        pids.append(pid)
        time.sleep(0.2)
    for pid in pids:
        os.waitpid(pid, 0)


def main() -> None:
    """Run until SIGTERM or Ctrl-C."""
    pids = [start(name, os.getpid()) for name in PROCESSES]
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    for pid in pids:
        os.kill(pid, signal.SIGTERM)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
