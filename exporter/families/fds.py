# SPDX-License-Identifier: GPL-2.0-only
"""Open fds of processes and of the host, and fanotify, as metric families."""

from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client import Metric as Family

from fdscope.exporter.accounts.census import Taken
from fdscope.exporter.accounts.processes import Owner
from fdscope.exporter.catalog import fds as catalog
from fdscope.exporter.families.build import family, gauge, table
from fdscope.exporter.families.layers import add_histogram
from fdscope.probes.schema.snapshot import Latency, ProcessKey
from fdscope.probes.schema.taxonomy import FdType, Stdio


def fanotify_families(waits: Latency | None) -> Iterator[Family]:
    """Time that accesses waited for an answer; nothing if it is not measured."""
    if waits is not None:
        result = family(catalog.FANOTIFY_PERMISSION_SECONDS)
        add_histogram(catalog.FANOTIFY_PERMISSION_SECONDS, {}, waits, result)
        yield result


def census_families(taken: Taken, owners: Mapping[ProcessKey, Owner]) -> Iterator[Family]:
    """The census: by process, and by name where processes are summed."""
    open_fds: Counter[tuple[Owner, FdType]] = Counter()
    stdio: Counter[tuple[Owner, Stdio, FdType]] = Counter()
    groups: Counter[tuple[Owner, str]] = Counter()
    limits: dict[Owner, int] = {}
    ratios: dict[str, float] = {}
    for key, found in taken.processes.items():
        if not found.total:
            continue  # threads of the kernel, and processes that are about to end
        owner = owners[key]
        for fd_type, count in found.counts.items():
            open_fds[owner, fd_type] += count
        for fd, fd_type in found.stdio.items():
            stdio[owner, fd, fd_type] += 1
        if owner.pid:
            limits[owner] = found.limit
        if found.limit:
            ratio = found.total / found.limit
            ratios[owner.process] = max(ratio, ratios.get(owner.process, 0.0))
        groups[owner, "permission"] += found.permission_groups
        notified = found.counts.get(FdType.FANOTIFY, 0) - found.permission_groups
        groups[owner, "notification"] += notified
    yield table(catalog.OPEN_FDS, (((*o[:3], t.label), n) for (o, t), n in open_fds.items()))
    yield table(catalog.MAX_FDS, ((o[:3], limit) for o, limit in limits.items()))
    yield table(catalog.FD_LIMIT_RATIO, (((name,), ratio) for name, ratio in ratios.items()))
    yield table(
        catalog.STDIO_FDS,
        (((*o[:3], fd.label, t.label), n) for (o, fd, t), n in stdio.items()),
    )
    yield table(
        catalog.FANOTIFY_GROUPS, (((*o[:3], kind), n) for (o, kind), n in groups.items() if n)
    )
    yield gauge(catalog.FD_DRIFT, (((t.label,), n) for t, n in taken.drift.items()))
    yield gauge(catalog.CENSUS_SECONDS, [((), taken.seconds)])
    states = {"read": len(taken.processes), "unreadable": taken.unreadable}
    yield gauge(catalog.CENSUS_PROCESSES, (((state,), n) for state, n in states.items()))


def census_age_family(age: float) -> Family:
    """The age of the census."""
    return gauge(catalog.CENSUS_AGE_SECONDS, [((), age)])


def host_families(file_nr: str) -> Iterator[Family]:
    """Open files of the host, from the text of /proc/sys/fs/file-nr: in use, 0, most."""
    in_use, _, most = file_nr.split()
    yield gauge(catalog.HOST_FILES, [((), float(in_use))])
    yield gauge(catalog.HOST_MAX_FILES, [((), float(most))])
