# SPDX-License-Identifier: GPL-2.0-only
"""fdscope itself as metric families."""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import Metric as Family

from fdscope.exporter.catalog import health as catalog
from fdscope.exporter.families.build import gauge
from fdscope.probes.attach.report import HookStatus
from fdscope.probes.schema.snapshot import Snapshot
from fdscope.probes.schema.taxonomy import Mode
from fdscope.probes.selftest.run import Row


def selftest_families(rows: Iterable[Row]) -> Iterator[Family]:
    """The bytes of the last self-test: moved, and counted by the probes."""
    sums: dict[tuple[str, ...], tuple[int, int]] = {}
    for row in rows:
        for layer, observed in (("file", row.file_bytes), ("socket", row.socket_bytes)):
            if observed is not None and not row.unsupported:
                labels = (row.door, row.fd_type, row.direction, layer)
                expected_sum, observed_sum = sums.get(labels, (0, 0))
                sums[labels] = expected_sum + row.expected_bytes, observed_sum + observed
    for column, metric in enumerate(
        (catalog.SELFTEST_EXPECTED_BYTES, catalog.SELFTEST_OBSERVED_BYTES)
    ):
        yield gauge(metric, ((labels, pair[column]) for labels, pair in sums.items()))


def probe_families(
    mode: Mode, preference: Iterable[Mode], hooks: Iterable[HookStatus]
) -> Iterator[Family]:
    """Hooks and attach mode; ``preference``: the modes, best first."""
    yield gauge(catalog.ATTACH_MODE, (((m.value,), float(m is mode)) for m in Mode))
    ranks = enumerate(preference, start=1)
    yield gauge(catalog.ATTACH_MODE_RANK, (((m.value,), rank) for rank, m in ranks))
    yield gauge(
        catalog.PROBE_ATTACHED,
        (((hook.layer, hook.function, hook.mode), float(hook.is_attached)) for hook in hooks),
    )


def memory_families(map_bytes: Mapping[str, int]) -> Iterator[Family]:
    """Kernel memory of the maps."""
    yield gauge(catalog.MAP_BYTES, (((name,), count) for name, count in map_bytes.items()))


def map_families(snapshot: Snapshot) -> Iterator[Family]:
    """Losses, and entries of the maps."""
    yield gauge(
        catalog.LOST_UPDATES, (((loss.label,), count) for loss, count in snapshot.losses.items())
    )
    yield gauge(
        catalog.MAP_ENTRIES, (((name,), fill.entries) for name, fill in snapshot.maps.items())
    )
    yield gauge(
        catalog.MAP_CAPACITY, (((name,), fill.capacity) for name, fill in snapshot.maps.items())
    )
    yield gauge(
        catalog.PROBE_MISSED_RUNS,
        (((program,), runs) for program, runs in snapshot.missed_runs.items()),
    )
    if snapshot.runs:
        programs = snapshot.runs.items()
        yield gauge(catalog.PROBE_RUNS, (((name,), runs.count) for name, runs in programs))
        yield gauge(
            catalog.PROBE_RUN_SECONDS,
            (((name,), runs.nanoseconds / 1e9) for name, runs in programs),
        )
