# SPDX-License-Identifier: GPL-2.0-only
"""Hosts that do not exist: one recording of a real exporter, played as many.

Each host has the series of the recording. Its counters grow at the pace of the recording times a
factor of its own, without pauses; gauges stay. So the number of series, their labels and the size
of a scrape are real. Not real are how series come and go, and how well the numbers compress.

Four of them are unlike the others: number 1 has a process that leaks, 2 does not answer, 3 has
another version, 4 another attach mode.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

LEAKS, SILENT, OTHER_VERSION, OTHER_MODE = 1, 2, 3, 4
_LEAKED_A_SECOND = 2.0
_PATH = re.compile(r"/hosts/([0-9]+)/metrics")
_COUNTERS = ("counter", "histogram")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a recording; a comment has no growth."""

    text: str
    """The series, or the whole comment."""
    value: float = 0.0
    growth: float | None = None
    """A second."""


class RecordingError(ValueError):
    """What was recorded is no exposition."""


def _values(text: str) -> dict[str, float]:
    pairs = (line.rsplit(" ", 1) for line in text.splitlines() if line[:1] not in ("", "#"))
    return {series: float(value) for series, value in pairs}


def recording(first: str, second: str, seconds: float) -> list[Line]:
    """A recording from two scrapes of one exporter in the text format, so many seconds apart."""
    before, lines, counts = _values(first), [], False
    for text in second.splitlines():
        if text.startswith("# TYPE "):
            counts = text.rsplit(" ", 1)[1] in _COUNTERS
        if text.startswith("#"):
            lines.append(Line(text))
        elif text:
            series, _, number = text.rpartition(" ")
            value = float(number)
            grown = max(value - before.get(series, value), 0.0) / seconds
            lines.append(Line(series, value, grown if counts else 0.0))
    if not any(line.growth for line in lines):
        raise RecordingError("nothing has grown between the two scrapes")
    return lines


@dataclass(slots=True)
class Host:
    """One host of the fleet; numbers start at 1."""

    number: int
    lines: list[Line]
    started: float

    @property
    def factor(self) -> float:
        """How busy it is, from 0.5 to 2."""
        return 0.5 + 1.5 * (self.number * 0.618034 % 1)

    def exposition(self, now: float) -> str:
        """A scrape at a time of the clock that ``started`` is of."""
        age, factor = now - self.started, self.factor
        leaks = self.number == LEAKS
        text = []
        for line in self.lines:
            if line.growth is None:
                text.append(line.text)
                continue
            value = line.value
            if line.growth:
                value = float(int((value + line.growth * age) * factor))
            series = line.text
            if leaks and series.startswith("fdscope_open_fds{") and 'fd_type="regular"' in series:
                value += _LEAKED_A_SECOND * age
                leaks = False
            if self.number == OTHER_VERSION and series.startswith("fdscope_build_info{"):
                series = re.sub(r',version="[^"]*"', ',version="0.0.9"', series)
            if self.number == OTHER_MODE and series.startswith("fdscope_attach_mode{"):
                value = float('mode="kprobe"' in series)
            text.append(f"{series} {value}")
        return "\n".join(text) + "\n"


@contextmanager
def serving(lines: list[Line], count: int, port: int = 0) -> Iterator[int]:
    """Serve ``/hosts/N/metrics`` for hosts 1 to ``count`` on the loopback; yields the port."""
    started = time.monotonic()
    hosts = [Host(number, lines, started) for number in range(1, count + 1)]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = _PATH.fullmatch(self.path)
            number = int(found[1]) if found else 0
            if not 1 <= number <= count or number == SILENT:
                self.send_error(HTTPStatus.SERVICE_UNAVAILABLE)
                return
            body = hosts[number - 1].exposition(time.monotonic()).encode()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(ConnectionError):  # Prometheus does not wait for long
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
