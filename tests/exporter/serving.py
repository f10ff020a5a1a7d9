# SPDX-License-Identifier: GPL-2.0-only
"""A server in a separate thread, on a real socket of the loopback interface."""

import asyncio
import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from fdscope.exporter.http import listen
from fdscope.exporter.page import PageData
from fdscope.exporter.page.doors import Demonstration
from fdscope.exporter.server import Server
from fdscope.exporter.settings import config
from fdscope.exporter.settings.addresses import Address
from fdscope.exporter.settings.options import Options
from fdscope.exporter.spotlight.recorder import Recorder
from fdscope.exporter.web_config.protection import Protection
from fdscope.probes.attach.report import HookStatus, State
from fdscope.probes.demonstration.doors import Lane
from fdscope.probes.hooks.blind_spots import BlindSpot

PAGE = PageData(
    version="1.2.3",
    mode="tracepoint",
    attachments=[
        HookStatus("sys_exit", "file", "tracepoint", "", State.ATTACHED),
        HookStatus("<b>", "socket", "x", "", State.FAILED, "a & b"),
    ],
    not_traced=[BlindSpot("mmap", "no operation"), BlindSpot("<script>", "evil")],
)


_SOCK = "sock_write_iter", "inet_sendmsg", "tcp_sendmsg"
LANES = [
    Lane("file", "write", 5, "/srv/#7 (deleted)", "regular", "ext4", ["ext4_file_write_iter"],
         1000, "read_write", 1000, None),
    Lane("pipe", "write", 6, "pipe:[8]", "fifo", "pipefs", ["pipe_write"],
         1000, "read_write", 1000, None),
    Lane("tcp", "write", 7, "socket:[9]", "tcp", "sockfs", _SOCK, 1000, "read_write", 1000, 1000),
    Lane("terminal", "write", 8, "/dev/pts/<b>", "tty", "devpts", [],
         1000, "read_write", 999, None),
    Lane("tcp", "send", 7, "socket:[9]", "tcp", "sockfs", _SOCK[1:],
         1000, "socket_call", 1000, 1000),
]  # fmt: skip


@dataclass(eq=False)
class FakeCollector(Collector):
    """One counter; can fail, wait for a gate, and be large by its help text."""

    error: Exception | None = None
    gate: threading.Event | None = None
    text: str = "Help."
    families: Sequence[Metric] = ()
    """Further families."""
    runs: int = 0
    together: int = 0
    most_together: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def collect(self) -> Iterator[Metric]:
        """The counter."""
        with self.lock:
            self.runs += 1
            self.together += 1
            self.most_together = max(self.together, self.most_together)
        try:
            if self.gate:
                self.gate.wait(10)
            if self.error:
                raise self.error
            yield CounterMetricFamily("fdscope_test_bytes", self.text, 1)
            yield from self.families
        finally:
            with self.lock:
                self.together -= 1


@dataclass
class Running:
    """A server in a separate thread."""

    port: int
    collector: FakeCollector
    loop: asyncio.AbstractEventLoop
    server: Server
    reason: list[str | None]

    def request(
        self, path: str = "/metrics", method: str = "GET", body: bytes | None = None,
        **headers: str,
    ) -> tuple[int, http.client.HTTPMessage, bytes]:  # fmt: skip
        """(status, headers, body) of a request on a new connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.closing(connection):
            connection.request(method, path, body, named)
            response = connection.getresponse()
            return response.status, response.headers, response.read()

    def connect(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def stop(self, grace_seconds: float = 5.0) -> None:
        """Stop as a signal would."""
        stopping = self.server.stop(grace_seconds)
        asyncio.run_coroutine_threadsafe(stopping, self.loop).result(10)


def options(**changes: str | bool) -> Options:
    return config.load(changes, {}, default_file=Path("/nonexistent"))


def wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@contextlib.contextmanager
def running(
    collector: FakeCollector,
    web_config: Path | None = None,
    demonstration: Demonstration = lambda: LANES,
    changes: Mapping[str, str | bool] = MappingProxyType({}),
    recorder: Recorder | None = None,
) -> Iterator[Running]:
    """Serve ``collector`` on a free port; ``changes``: options, by the names of their flags."""
    protection = Protection(web_config)
    chosen = options(**changes)
    sockets = listen.bind([Address("127.0.0.1", 0)])
    registry = CollectorRegistry()
    registry.register(collector)
    reason: list[str | None] = [None]
    served = Server(
        *(chosen, sockets, registry, lambda: PAGE, lambda: reason[0]),
        *(protection, demonstration, recorder),
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(served.start(), loop).result(10)
        yield Running(sockets[0].getsockname()[1], collector, loop, served, reason)
        asyncio.run_coroutine_threadsafe(served.stop(1), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        listen.release(sockets)
