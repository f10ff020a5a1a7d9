# SPDX-License-Identifier: GPL-2.0-only
"""Answers requests while the probes are compiled and attached: alive, not ready yet.

A child process does it, because attaching needs privileges, and a process with privileges must have
one thread. The child drops all of them before it reads a byte from a client. The same web
configuration holds as later.
"""

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from fdscope.exporter import privileges
from fdscope.exporter.http.connections import Connections, LimitedServer
from fdscope.exporter.http.handlers import Access, Handler, Healthy, Route, application
from fdscope.exporter.settings.options import HEALTHY_PATH, Options
from fdscope.exporter.web_config.gate import Gate
from fdscope.exporter.web_config.protection import Protection

RETRY_SECONDS = 2
"""Seconds after which a client should ask again."""

_SENTENCE = "fdscope is starting: its probes are being compiled and attached"
_PAGE = f"""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="refresh" content="{RETRY_SECONDS}">
<title>fdscope is starting</title>
<link rel="icon" href="data:,">
<main><h1>fdscope is starting</h1>
<p>Its probes are being compiled and attached. This takes some seconds, on a slow machine a minute;
the page loads again by itself.</p></main>
"""
_GRACE_SECONDS, _END_SECONDS = 0.5, 2.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

log = logging.getLogger(__name__)


class _Starting(Handler):
    """Every page but health: not ready yet."""

    async def respond(self) -> None:
        """Send 503 with Retry-After."""
        self.set_header("Retry-After", str(RETRY_SECONDS))
        self.set_header("Connection", "close")
        if self.request.path == "/":
            self.set_header("Content-Security-Policy", "default-src 'none'; img-src data:")
            await self.send(_PAGE, "text/html; charset=utf-8", 503)
        else:
            await self.send(f"{_SENTENCE}\n", status=503)


@contextmanager
def answering(
    options: Options, sockets: Sequence[socket.socket], protection: Protection
) -> Iterator[None]:
    """Answer on these sockets during the block; call it while there is one thread."""
    # The child ends when the other end of the pipe is closed, however we end: it can belong to
    # another user, whose processes we may not signal.
    theirs, ours = os.pipe()
    # Block signals until the child has its own handlers: ours must not run in it.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        child = os.fork()
        if child == 0:
            os.close(ours)
            _run(options, sockets, protection, theirs)
    except OSError as error:
        log.warning("no requests are answered during the start: no process for it: %s", error)
        child = 0
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.close(theirs)
    try:
        yield
    finally:
        os.close(ours)
        if child:
            _wait(child)


def _wait(child: int) -> None:
    """Wait for the child, which may finish what it sends; kill it if it takes too long."""
    deadline = time.monotonic() + _END_SECONDS
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            log.warning("the process that answered during the start does not end: %d", child)
            with suppress(PermissionError):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            return
        time.sleep(0.005)


def _run(
    options: Options, sockets: Sequence[socket.socket], protection: Protection, end: int
) -> None:
    """Run the child until ``end`` can be read; never returns."""
    try:
        # A Ctrl-C reaches the child too; it ends with the parent.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        privileges.drop(options.privileges_user, ())
        asyncio.run(_serve(sockets, Gate(protection), end))
    except Exception:
        log.exception("no requests are answered during the start")
    finally:
        os._exit(0)


async def _serve(sockets: Sequence[socket.socket], gate: Gate, end: int) -> None:
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(end, stopped.set)
    connections = Connections()
    routes = (Route(HEALTHY_PATH, Healthy, {}),)
    access = Access(gate, connections)
    server = LimitedServer(application(access, routes, _Starting), connections, gate)
    server.add_sockets(sockets)
    await stopped.wait()
    loop.remove_reader(end)
    server.stop()
    deadline = loop.time() + _GRACE_SECONDS
    while connections.are_busy and loop.time() < deadline:
        await asyncio.sleep(0.01)
