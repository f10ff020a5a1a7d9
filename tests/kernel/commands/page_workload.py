# SPDX-License-Identifier: GPL-2.0-only
"""Workload for the page: processes that move bytes in several ways, until they are killed.

``python -m tests.kernel.commands.page_workload``; all are in one process group. The picture of
the page in the README is made with it.
"""

import ctypes
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PAUSE_SECONDS = 0.02
PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h
HOSTILE = "<script>"
BOLD = "copy <b>bold"
NAMES = ("web-server", HOSTILE, "unix-writer", "unix-reader", BOLD, "pipe-writer", "pipe-reader")


def end_with_parent() -> None:
    """Leave nothing behind when the tests are killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def start(name: str, step: Callable[[], object], pause: float = 0.0) -> None:
    """Repeat a step in a process of that name."""
    if os.fork():
        return
    end_with_parent()
    Path("/proc/self/comm").write_text(name)
    while True:
        step()
        time.sleep(pause)


def tcp() -> None:
    """A client sends, a server receives, on the loopback."""
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    start("web-server", lambda: server.recv(262_144))
    start(HOSTILE, lambda: client.sendall(b"x" * 200_000), PAUSE_SECONDS)


def unix() -> None:
    """Sockets used as files, by read() and write()."""
    one, other = socket.socketpair()
    start("unix-reader", lambda: os.read(one.fileno(), 262_144))
    start("unix-writer", lambda: os.write(other.fileno(), b"y" * 100_000), PAUSE_SECONDS)


def pipe() -> None:
    """The same with a pipe."""
    reader, writer = os.pipe()
    start("pipe-reader", lambda: os.read(reader, 65536))
    start("pipe-writer", lambda: os.write(writer, b"z" * 10_000), PAUSE_SECONDS)


def files(folder: str) -> None:
    """Copy within the kernel, by sendfile()."""
    source, target = Path(folder, "source"), Path(folder, "target")
    source.write_bytes(b"f" * 200_000)
    with source.open("rb") as here, target.open("wb") as there:

        def copy() -> None:
            os.lseek(there.fileno(), 0, os.SEEK_SET)
            os.sendfile(there.fileno(), here.fileno(), 0, 200_000)

        start(BOLD, copy, PAUSE_SECONDS)


if __name__ == "__main__":
    end_with_parent()
    with tempfile.TemporaryDirectory() as folder:
        tcp()
        unix()
        pipe()
        files(folder)
        while True:
            time.sleep(1)
