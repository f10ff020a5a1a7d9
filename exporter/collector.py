# SPDX-License-Identifier: GPL-2.0-only
"""One scrape: a snapshot, the accounts of the processes, the families."""

import logging
import platform
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from prometheus_client import Metric as Family
from prometheus_client.registry import Collector as ClientCollector

from exporter import devices
from exporter.catalog import CATALOG
from exporter.catalog import itself as catalog
from exporter.census import CensusTaker, Taken
from exporter.families import build, fds, itself, layers
from exporter.families import devices as device_families
from exporter.ledger import Residuals, ledger
from exporter.processes import Processes
from exporter.selftester import SelfTester
from exporter.stacks import BoundedChains
from exporter.units import Units
from probes.session import Session
from probes.snapshot import Accounts, UnderWay

log = logging.getLogger(__name__)

Reading = TypeVar("Reading", bound=Accounts)

_KEEPER_SECONDS = (0.1, 2.0)
"""Between scrapes the dead leave the maps this often: the sooner, the fuller the maps are."""
_FILE_NR = Path("/proc/sys/fs/file-nr")


def _is_alive(tgid: int) -> bool:
    return Path(f"/proc/{tgid}").exists()


class Collector(ClientCollector):
    """Turns a session's maps into metric families, once per scrape.

    A part that fails leaves its families out and is counted; the others are exported.
    """

    def __init__(
        self,
        session: Session,
        version: str,
        max_series: int,
        selftest: SelfTester | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._session = session
        self._version = version
        self._clock = clock
        self._units = Units(session.cgroups)
        self._processes = Processes(max_series, self._units.unit, _is_alive)
        self._residuals = Residuals()
        self._chains = BoundedChains()
        self._selftest = selftest
        self._lock = threading.Lock()
        self._seconds: dict[str, float] = {}
        self._errors = dict.fromkeys(("maps", "units", "processes", "devices", "fds", "metrics"), 0)
        self._last_error = "no scrape yet"
        self._pause = _KEEPER_SECONDS[1]
        self._census = CensusTaker(session.census, session.fd_flow) if session.census else None
        self._shown: tuple[Taken, list[Family]] | None = None
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._keeper.start()
        if self._census:
            self._census.start()
        if self._selftest:
            self._selftest.start()

    def describe(self) -> list[Family]:
        """All families of the catalog, empty: registering must not read the maps."""
        return [build.family(metric) for metric in CATALOG]

    def collect(self) -> Iterator[Family]:
        """All families of one scrape."""
        with self._lock:
            result: list[Family] = []
            snapshot = self._refresh(self._session.snapshot, promote=True)
            with self._part("devices"):
                result += device_families.network_families(devices.network_devices())
                result += device_families.block_families(devices.block_devices())
            with self._part("fds"):
                result += fds.host_families(_FILE_NR.read_text())
                result += self._census_families()
            with self._part("metrics"):
                if snapshot:
                    totals = self._processes.totals(snapshot.overflow)
                    result += layers.process_families(totals)
                    result += fds.event_families(totals)
                    result += fds.fanotify_families(snapshot.fanotify_waits)
                    result += self._ledger(totals, snapshot.under_way)
                    result += layers.latency_families(snapshot.latency)
                    result += device_families.filesystem_families(snapshot.filesystems)
                    chains = self._chains.update(snapshot.stacks)
                    result += device_families.stack_families(chains)
                    result += itself.map_families(snapshot)
                if self._selftest:
                    result += itself.selftest_families(self._selftest.rows)
                mode, preference = self._session.mode, self._session.preference
                result += itself.probe_families(mode, preference, self.attachments())
            result += self._own_families()
        yield from result

    def ready(self) -> str | None:
        """Why there is nothing to scrape yet; None if there is."""
        with self._lock:
            if self._last_error:
                self._refresh(self._session.snapshot, promote=True)
            return self._last_error or None

    def attachments(self) -> list[Mapping[str, str]]:
        """Each hook: layer, function, mode, state (attached, failed, absent) and why."""
        return list(self._session.report["hooks"])

    def close(self) -> None:
        """Stop keeping the accounts."""
        self._stopping.set()
        self._keeper.join()
        if self._census:
            self._census.close()
        if self._selftest:
            self._selftest.close()

    def _keep(self) -> None:
        while not self._stopping.wait(self._pause):
            with self._lock:
                self._refresh(lambda: self._session.accounts(of_the_living=False), promote=False)

    def _census_families(self) -> list[Family]:
        """Made once a census; a scrape adds its age."""
        taken = self._census.last if self._census else None
        if self._census is None or taken is None:
            return []
        if self._shown is None or self._shown[0] is not taken:
            processes = {key: found.process for key, found in taken.processes.items()}
            with self._part("units"):
                self._units.meet(processes)
            owners = self._processes.owners_of(processes)
            self._shown = taken, list(fds.census_families(taken, owners))
        return [*self._shown[1], fds.census_age_family(self._census.age or 0.0)]

    def _ledger(self, totals: layers.Totals, under_way: UnderWay) -> Iterator[Family]:
        lines = ledger(totals.values(), under_way)
        # Without hooks on the socket layer there is nothing to compare with.
        residuals = self._residuals.update(lines) if self._session.sees_sockets else {}
        return layers.ledger_families(lines, residuals)

    def _refresh(self, read: Callable[[], Reading], promote: bool) -> Reading | None:
        """Read maps and bring the accounts up to date; None if the maps cannot be read."""
        reading = None
        self._last_error = ""
        with self._part("maps"):
            reading = read()
        if reading:
            with self._part("units"):
                self._units.meet(reading.processes)
            with self._part("processes"):
                self._session.forget(self._processes.update(reading, self._clock(), promote))
                fill = max((m.entries / m.capacity for m in reading.maps.values()), default=0.0)
                least, most = _KEEPER_SECONDS
                self._pause = max(least, most * (1 - fill) ** 4)
        return reading

    @contextmanager
    def _part(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        except Exception as error:
            self._errors[name] += 1
            self._last_error = f"{name}: {error}"
            log.exception("the part %r of the scrape failed", name)
        self._seconds[name] = time.perf_counter() - started

    def _own_families(self) -> Iterator[Family]:
        versions = (self._version, platform.python_version(), platform.release())
        yield build.gauge(catalog.BUILD, [(versions, 1)])
        counts = self._processes.counts()
        yield build.gauge(catalog.PROCESSES, (((name,), n) for name, n in counts.items()))
        yield build.gauge(
            catalog.SCRAPE_SECONDS, (((part,), value) for part, value in self._seconds.items())
        )
        errors = self._errors | ({"census": self._census.failures} if self._census else {})
        yield build.gauge(
            catalog.SCRAPE_ERRORS, (((part,), count) for part, count in errors.items())
        )
