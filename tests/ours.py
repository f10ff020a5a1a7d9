# SPDX-License-Identifier: GPL-2.0-only
"""The processes that the tests started, on a machine where others run too.

The exporter counts the whole machine. Tests of its metrics put themselves and their
children into a new unit, and keep only the series of that unit's processes.

``python -m tests.ours UNIT ARGUMENTS...`` is ``fdscope ARGUMENTS...`` of which the exporter shows
no processes but those of the unit.
"""

import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from prometheus_client import Metric
from prometheus_client.registry import Collector as ClientCollector

from fdscope.exporter.cli import main as cli
from fdscope.exporter.run import REAL, run_exporter

if TYPE_CHECKING:
    from fdscope.exporter.collector import Collector

_END_SECONDS = 30


def hierarchy() -> Path | None:
    """Mount point of the version 2 hierarchy of cgroups; None if it is not mounted."""
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        mount, _, filesystem = line.partition(" - ")
        if filesystem.startswith("cgroup2 "):
            return Path(mount.split()[4])
    return None


def _new_cgroup() -> Path | None:
    root = hierarchy()
    if root is not None:
        with suppress(OSError):
            return Path(tempfile.mkdtemp(prefix="fdscope-test-", suffix=".scope", dir=root))
    return None


@contextmanager
def own_unit() -> Iterator[str]:
    """Put this process, and what it starts in the block, into a unit; its name.

    "" where no cgroup can be made: then all processes count as ours.
    """
    made = _new_cgroup()
    if made is None:
        yield ""
        return
    (here,) = re.findall(r"^0::/(.*)$", Path("/proc/self/cgroup").read_text(), re.MULTILINE)
    processes = made / "cgroup.procs"
    try:
        processes.write_text(str(os.getpid()))
        yield made.name
    finally:
        (made.parent / here / "cgroup.procs").write_text(str(os.getpid()))
        deadline = time.monotonic() + _END_SECONDS
        while processes.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        made.rmdir()


def relabelling(unit: str) -> list[dict[str, Any]]:
    """Relabelling with which Prometheus keeps only the series of the unit's processes."""
    if not unit:
        return []
    pattern = f";.*|.+;{re.escape(unit)}"
    return [{"source_labels": ["process", "unit"], "regex": pattern, "action": "keep"}]


class OwnCollector(ClientCollector):
    """The exporter's collector without the processes of other units."""

    def __init__(self, real: "Collector", unit: str) -> None:
        self._real = real
        self._unit = unit

    def describe(self) -> list[Metric]:
        return self._real.describe()

    def collect(self) -> Iterator[Metric]:
        for family in self._real.collect():
            own = Metric(family.name, family.documentation, family.type, family.unit)
            own.samples = [s for s in family.samples if self._is_own(s.labels)]
            yield own

    def _is_own(self, labels: Mapping[str, str]) -> bool:
        return "process" not in labels or labels.get("unit") == self._unit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def main() -> int:
    """Run the command."""
    unit = sys.argv.pop(1)
    if unit:
        parts = replace(
            REAL,
            collector=lambda *given: cast("Collector", OwnCollector(REAL.collector(*given), unit)),
        )
        run_exporter.__defaults__ = (parts,)
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
