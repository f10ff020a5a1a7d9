# SPDX-License-Identifier: GPL-2.0-only
"""Clients that ask and do not read, that do not finish asking, or that only connect."""

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Iterator, Sequence

from tests.hostile.actors import STRANGER, end, start

PATHS = ("/static/page.css", "/metrics", "/events", "/")
_CONNECT_SECONDS = 3.0
"""For all of a crowd: who is not let in by then stays outside."""


def asking(path: str) -> bytes:
    """A request that is complete."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


UNFINISHED = b"GET /metrics HTTP/1.1\r\nX: "


@contextlib.contextmanager
def crowd(
    address: tuple[str, int], first: Sequence[bytes], sources: int = 1
) -> Iterator[list[socket.socket]]:
    """A client for each of ``first``, which it sends; then it takes nothing of the answer.

    They come from so many addresses of the loopback interface.
    """
    clients: list[socket.socket] = []
    try:
        waiting: dict[int, tuple[socket.socket, bytes]] = {}
        poll = select.poll()
        for number, words in enumerate(first):
            client = socket.socket()
            clients.append(client)
            client.setblocking(False)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            if sources > 1:
                client.bind((f"127.0.1.{number % sources + 1}", 0))
            client.connect_ex(address)
            waiting[client.fileno()] = client, words
            poll.register(client, select.POLLOUT)
        deadline = time.monotonic() + _CONNECT_SECONDS
        while waiting and (left := deadline - time.monotonic()) > 0:
            for fd, _ in poll.poll(left * 1000):
                client, words = waiting.pop(fd)
                poll.unregister(fd)
                with contextlib.suppress(OSError):
                    client.send(words)
        yield clients
    finally:
        for client in clients:
            client.close()


@contextlib.contextmanager
def crowd_of_strangers(
    address: tuple[str, int], first: Sequence[bytes], sources: int = 1
) -> Iterator[None]:
    """The same, by a user without rights in a process of his own."""
    there, say = os.pipe()

    def work() -> None:
        with crowd(address, first, sources):
            os.write(say, b"x")
            signal.pause()

    pid = start(work, uid=STRANGER)
    os.close(say)
    try:
        assert os.read(there, 1) == b"x", "the crowd failed: see its message above"
        yield
    finally:
        end(pid)
        os.close(there)
