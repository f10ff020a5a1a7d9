# SPDX-License-Identifier: GPL-2.0-only
"""One scrape: a snapshot, the accounts of the processes, the families."""

import logging
import platform
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import Metric as Family
from prometheus_client.registry import Collector as ClientCollector

from exporter import catalog, families, units
from exporter.ledger import Residuals, ledger
from exporter.processes import Processes
from probes.selftest import Row
from probes.session import Session
from probes.snapshot import Snapshot

log = logging.getLogger(__name__)

_KEEPER_SECONDS = 10.0
"""Without scrapes the accounts are kept this often, so that the dead leave the maps."""


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
        selftest: Sequence[Row] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._session = session
        self._version = version
        self._clock = clock
        cgroups = units.Units(units.hierarchy())
        self._processes = Processes(max_series, cgroups.unit, _is_alive)
        self._residuals = Residuals()
        self._selftest = selftest
        self._lock = threading.Lock()
        self._seconds: dict[str, float] = {}
        self._errors = dict.fromkeys(("maps", "processes", "metrics"), 0)
        self._last_error = "no scrape yet"
        self._kept = 0.0
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._keeper.start()

    def describe(self) -> list[Family]:
        """All families of the catalog, empty: registering must not read the maps."""
        return [families.family(metric) for metric in catalog.CATALOG]

    def collect(self) -> Iterator[Family]:
        """All families of one scrape."""
        with self._lock:
            result: list[Family] = []
            snapshot = self._refresh()
            with self._part("metrics"):
                if snapshot:
                    totals = self._processes.totals()
                    result += families.process_families(totals)
                    result += self._ledger(totals)
                    result += families.latency_families(snapshot.latency)
                    result += families.map_families(snapshot)
                result += families.selftest_families(self._selftest)
                result += families.probe_families(self._session.mode, self.attachments())
            result += self._own_families()
        yield from result

    def ready(self) -> str | None:
        """Why there is nothing to scrape yet; None if there is."""
        with self._lock:
            if self._last_error:
                self._refresh()
            return self._last_error or None

    def attachments(self) -> list[Mapping[str, str]]:
        """Each hook: layer, function, mode, state (attached, failed, absent) and why."""
        return list(self._session.report["hooks"])

    def close(self) -> None:
        """Stop keeping the accounts."""
        self._stopping.set()
        self._keeper.join()

    def _keep(self) -> None:
        while not self._stopping.wait(_KEEPER_SECONDS):
            with self._lock:
                if self._clock() - self._kept >= _KEEPER_SECONDS:
                    self._refresh()

    def _ledger(self, totals: families.Totals) -> Iterator[Family]:
        lines = ledger(totals.values())
        # Without hooks on the socket layer there is nothing to compare with.
        residuals = self._residuals.update(lines) if self._session.sees_sockets else {}
        return families.ledger_families(lines, residuals)

    def _refresh(self) -> Snapshot | None:
        """Read the maps once and bring the accounts up to date; None if the maps cannot be read."""
        snapshot = None
        self._last_error = ""
        with self._part("maps"):
            snapshot = self._session.snapshot()
        if snapshot:
            with self._part("processes"):
                self._kept = self._clock()
                self._session.forget(self._processes.update(snapshot, self._kept))
        return snapshot

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
        build = (self._version, platform.python_version(), platform.release())
        yield families.gauge(catalog.BUILD, [(build, 1)])
        counts = self._processes.counts()
        yield families.gauge(catalog.PROCESSES, (((name,), n) for name, n in counts.items()))
        yield families.gauge(
            catalog.SCRAPE_SECONDS, (((part,), value) for part, value in self._seconds.items())
        )
        yield families.gauge(
            catalog.SCRAPE_ERRORS, (((part,), count) for part, count in self._errors.items())
        )
