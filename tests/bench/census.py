# SPDX-License-Identifier: GPL-2.0-only
"""Cost of the census of open descriptors, on a host with many."""

import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from fdscope.exporter.accounts.census import CensusTaker
from fdscope.exporter.collector import Collector
from fdscope.probes.attach.settings import Settings
from fdscope.probes.read.session import Session, attach
from fdscope.probes.schema.taxonomy import Mode
from tests.bench.scrape import seconds

PROCESSES = 2000
DESCRIPTORS = 10_000
_MAX_SERIES = 1000


@contextmanager
def sleepers(number: int) -> Iterator[None]:
    """Start so many idle processes."""
    loop = f"for i in $(seq {number}); do sleep 1000 & done; echo; wait"
    shell = subprocess.Popen(["sh", "-c", loop], stdout=subprocess.PIPE, process_group=0)
    assert shell.stdout
    shell.stdout.readline()
    try:
        yield
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()
        shell.stdout.close()


@contextmanager
def many_descriptors(number: int) -> Iterator[None]:
    """Start a process with so many open fds."""
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        limit = number + 100
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        fd = os.eventfd(0)
        for _ in range(number):
            os.dup(fd)
        os.write(write_fd, b"x")
        signal.pause()
    try:
        os.read(read_fd, 1)
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(read_fd)
        os.close(write_fd)


@contextmanager
def scraped(session: Session) -> Iterator[CollectorRegistry]:
    """A collector that has its first census."""
    collector = Collector(session, "", _MAX_SERIES)
    registry = CollectorRegistry()
    registry.register(collector)
    try:
        while b"\nfdscope_fd_census_age_seconds " not in generate_latest(registry):
            time.sleep(0.1)
        yield registry
    finally:
        collector.close()


def measured(host: str, session: Session) -> str:
    """A Markdown row: the census by itself, then scrapes that have one to show."""
    assert session.census
    taker = CensusTaker(session.census, session.fd_flow)
    began = time.thread_time()
    taken = taker.take()
    work = time.thread_time() - began
    assert taken
    total = sum(found.total for found in taken.processes.values())
    with scraped(session) as registry:
        series = sum(1 for line in generate_latest(registry).splitlines() if line[:1] != b"#")
        took = seconds(lambda: generate_latest(registry), clock=time.thread_time)
    return (
        f"| {host} | {len(taken.processes)} | {total} | {work * 1000:.0f} |"
        f" {taken.seconds * 1000:.0f} | {series} | {took * 1000:.0f} |"
    )


def census(mode: Mode) -> Iterator[str]:
    """Markdown rows: the host as it is, then with many descriptors and processes."""
    session = attach([mode], Settings())
    try:
        yield measured("as it is", session)
        with many_descriptors(DESCRIPTORS):
            yield measured(f"and {DESCRIPTORS:,} fds in one process", session)
            with sleepers(PROCESSES):
                yield measured(f"and {PROCESSES:,} processes", session)
    finally:
        session.close()
