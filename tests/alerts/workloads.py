# SPDX-License-Identifier: GPL-2.0-only
"""Workloads of the end-to-end test: ``python -m tests.alerts.workloads NAME ARGUMENTS``.

Each runs in a process of that name until its standard input is closed.
"""

import ctypes
import os
import resource
import select
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PR_SET_NAME = 15


def wanted() -> bool:
    """False once the test has closed the pipe."""
    readable, _, _ = select.select([0], [], [], 0)
    return not (readable and os.read(0, 1) == b"")


def leaker() -> None:
    """Opens ten files a second and closes none, until it holds 900 of the 1024 that it may."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(40)]
    while wanted():
        if len(held) < 900:
            held += [os.open("/dev/null", os.O_RDONLY) for _ in range(10)]
        time.sleep(1)


def gusher() -> None:
    """Opens a hundred files a second, dies of the limit of 256 and starts again."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    while wanted():
        if os.fork() == 0:
            with suppress(OSError):
                while True:
                    os.open("/dev/null", os.O_RDONLY)
                    time.sleep(0.01)
            os._exit(1)
        os.wait()


def recurrent() -> None:
    """Opens twenty files a second, dies of the limit of 512 and starts again."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512))
    while wanted():
        if os.fork() == 0:
            with suppress(OSError):
                while True:
                    for _ in range(10):
                        os.open("/dev/null", os.O_RDONLY)
                    time.sleep(0.5)
            os._exit(1)
        os.wait()


def sniffer() -> None:
    """Opens a packet socket, and ends at once."""
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()


def spiker(path: str, go: str) -> None:
    """Writes a little until the file ``go`` is there, then as much as it can."""
    block, much = bytes(1024), bytes(4 << 20)
    with Path(path).open("r+b", buffering=0) as file:
        while wanted():
            spike = Path(go).exists()
            file.seek(0)
            for _ in range(16 if spike else 1):
                file.seek(0)
                file.write(much if spike else block)
            time.sleep(0.1 if spike else 0.2)


def shell(port: str) -> None:
    """Connects, and becomes a shell with the connection as its stdio."""
    connection = socket.create_connection(("127.0.0.1", int(port)))
    for fd in range(3):
        os.dup2(connection.fileno(), fd)
    connection.close()
    os.execv("/bin/sh", ["sh"])  # noqa: S606


def main() -> None:
    """Take the name, then do the work."""
    name, *arguments = sys.argv[1:]
    ctypes.CDLL(None).prctl(PR_SET_NAME, name.encode())
    works: dict[str, Callable[..., None]] = {
        "gusher": gusher, "leaker": leaker, "recurrent": recurrent, "shell": shell,
        "sniffer": sniffer, "spiker": spiker,
    }  # fmt: skip
    works[name](*arguments)


if __name__ == "__main__":
    main()
