# SPDX-License-Identifier: GPL-2.0-only
"""Clients that ask and do not read, that do not finish asking, or that only connect."""

import contextlib
import socket
from collections.abc import Iterator

PATHS = ("/static/plotly.min.js", "/metrics", "/events", "/")
_REQUEST = "GET {} HTTP/1.1\r\nHost: x\r\n\r\n"


def connect(address: tuple[str, int], source: str = "") -> socket.socket | None:
    """A connection with little room for answers; None if it is refused."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    client.settimeout(2)
    try:
        if source:
            client.bind((source, 0))
        client.connect(address)
    except OSError:
        client.close()
        return None
    return client


def reads_nothing(address: tuple[str, int], path: str, source: str = "") -> socket.socket | None:
    """A client that asks for a page and never takes it."""
    client = connect(address, source)
    if client:
        with contextlib.suppress(OSError):
            client.sendall(_REQUEST.format(path).encode())
    return client


def asks_for_ever(address: tuple[str, int], source: str = "") -> socket.socket | None:
    """A client that never finishes its request."""
    client = connect(address, source)
    if client:
        with contextlib.suppress(OSError):
            client.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
    return client


@contextlib.contextmanager
def crowd(
    address: tuple[str, int], count: int, paths: tuple[str, ...] = PATHS, sources: int = 1
) -> Iterator[list[socket.socket]]:
    """So many slow readers, from as many addresses of the loopback interface."""
    clients = []
    for number in range(count):
        source = f"127.0.1.{number % sources + 1}" if sources > 1 else ""
        clients.append(reads_nothing(address, paths[number % len(paths)], source))
    connected = [client for client in clients if client]
    try:
        yield connected
    finally:
        for client in connected:
            client.close()
