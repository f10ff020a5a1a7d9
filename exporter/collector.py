# SPDX-License-Identifier: GPL-2.0-only
"""One scrape: a snapshot, the accounts of the processes, the families."""

import logging
import platform
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from prometheus_client import Metric as Family
from prometheus_client.registry import Collector as ClientCollector

from fdscope.exporter.accounts import devices
from fdscope.exporter.accounts.census import CensusTaker, Taken
from fdscope.exporter.accounts.census_owners import CensusOwners
from fdscope.exporter.accounts.devices import BlockDevice, NetworkDevice
from fdscope.exporter.accounts.ledger import Residuals, ledger
from fdscope.exporter.accounts.losses import Losses
from fdscope.exporter.accounts.processes import DEFAULT_BUDGET, Owner, Processes
from fdscope.exporter.accounts.selftester import SelfTester
from fdscope.exporter.accounts.stacks import BoundedChains
from fdscope.exporter.accounts.unit_names import Reader, UnitNames
from fdscope.exporter.accounts.units import UNKNOWN_UNIT, Units
from fdscope.exporter.catalog import CATALOG
from fdscope.exporter.catalog import health as catalog
from fdscope.exporter.catalog.slots import series_of
from fdscope.exporter.families import build, fds, health, held, layers, owned, sockets
from fdscope.exporter.families import storage as device_families
from fdscope.exporter.families import units as unit_families
from fdscope.exporter.families.journal import journal_families
from fdscope.exporter.journal.journal import Journal
from fdscope.exporter.journal.watch import Watch
from fdscope.probes.attach.report import HookStatus
from fdscope.probes.read.census import ProcessFds
from fdscope.probes.read.session import Session
from fdscope.probes.schema.event import EventProcess
from fdscope.probes.schema.snapshot import Accounts, Process, ProcessKey, Snapshot
from fdscope.probes.selftest.run import Row

log = logging.getLogger(__name__)

Reading = TypeVar("Reading", bound=Accounts)
Cause = tuple[str, str, str]
"""A failed part: its name, the type of the error, and its place."""

_KEEPER_SECONDS = (0.1, 2.0)
"""Seconds between removals of ended processes from the maps: fewer, the fuller these are."""
_LARGEST_SHARE = 0.05
"""Share of a processor for these removals."""
_WHOLE_READING_SECONDS = 10.0
"""Seconds between full readings, for ended processes of which no exit is known."""
_CENSUS_SHARE = 3
"""The census gets at most this fraction of the budget: 1 / n."""
_LEAST_CENSUS = 1000
_UNITS_SHARE = 20
"""Names of units get at most this fraction of the budget: 1 / n."""
_LEAST_UNITS = 64
_FILE_NR = Path("/proc/sys/fs/file-nr")


def _is_alive(tgid: int) -> bool:
    return Path(f"/proc/{tgid}").exists()


class Collector(ClientCollector):
    """Turns a session's maps into metric families, once per scrape.

    A part that fails leaves its families out and is counted; the others are exported. All of them
    have at most ``budget`` series: first those of devices, hooks and closed sets of label values,
    then the census, then the processes; ``Processes`` decides which get series of their own.
    ``clock`` is monotonic.
    """

    def __init__(
        self,
        session: Session,
        version: str,
        max_series: int,
        selftest: SelfTester | None = None,
        clock: Callable[[], float] = time.monotonic,
        budget: int = DEFAULT_BUDGET,
        names: Reader | None = None,
        journal: Journal | None = None,
        watch: Watch | None = None,
    ) -> None:
        """``max_series``: most processes with series of their pid; ``names``: of containers."""
        self._session = session
        self._version = version
        self._clock = clock
        self._budget = budget
        self._units = Units(session.cgroups)
        # The label `ended` counts from the time of the start, even if the host's clock is set.
        epoch = time.time() - clock()
        self._names = UnitNames(self._units.place_of, names)
        self._reads_names = names is not None
        self._processes = Processes(max_series, self._units.unit, _is_alive, epoch=epoch)
        self._series = owned.SeriesCache()
        self._tail_series = 0
        """Number of series of the families that are made last, at the last scrape."""
        self._residuals = Residuals()
        self._chains = BoundedChains()
        self._network_devices = devices.Bounded[NetworkDevice]()
        self._block_devices = devices.Bounded[BlockDevice]()
        self._selftest = selftest
        self._lock = threading.Lock()
        self._seconds: dict[str, float] = {}
        self._errors = dict.fromkeys(("maps", "units", "processes", "devices", "fds", "metrics"), 0)
        self._failing: tuple[set[Cause], set[Cause]] = set(), set()
        """Logged causes since the scrape before the last, and since the last."""
        self._last_error = "no scrape yet"
        self._pause = _KEEPER_SECONDS[1]
        self._rest = 0.0
        """Seconds to wait, according to the cost of the last removal."""
        self._read_whole = clock()
        self._census = CensusTaker(session.census, session.fd_flow) if session.census else None
        self._census_owners = CensusOwners(max_series, self._owner_of)
        self._shown: tuple[Taken, list[Family]] | None = None
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._journal = journal
        self._watch = watch
        self._keeper.start()
        if self._census:
            self._census.start()
        if self._selftest:
            self._selftest.start()
        if journal:
            journal.start(self._unit_of)
        if watch:
            watch.start(version, session.mode, session.report.hooks)

    def describe(self) -> list[Family]:
        """All families of the catalog, empty: registering must not read the maps."""
        return [build.family(metric) for metric in CATALOG if metric is not catalog.FAMILY_ERRORS]

    def collect(self) -> Iterator[Family]:
        """All families of one scrape."""
        with self._lock:
            self._seconds = dict.fromkeys(self._errors, 0.0)
            self._last_error = ""
            self._failing = self._failing[1], set()
            snapshot = self._read(self._session.snapshot)
            result = self._of_the_host(snapshot)
            room = self._budget - _size(result) - self._tail_series
            for_units = self._for_units()
            room -= for_units
            for_census = self._for_census(room)
            if snapshot:
                overflow = series_of(snapshot.overflow)
                self._processes.budget = max(room - for_census - overflow, 0)
                self._update(snapshot, promote=True)
                self._watch_over(snapshot)
            result += self._made("fds", lambda: self._census_families(for_census))
            if snapshot:
                totals = self._processes.totals(snapshot.overflow)
                result += self._made("metrics", lambda: self._series.tables(totals))
                owners = totals.keys() | self._census_owners.shown
                result += self._made("units", lambda: self._unit_families(owners, for_units))
            before = _size(result)
            if snapshot:
                result += self._made("metrics", lambda: self._ledger(snapshot))
            result += self._own_families()
            series = _size(result) + 1
            self._tail_series = series - before
            result.append(build.gauge(catalog.SERIES, [((), series)]))
        yield from result

    def ready(self) -> str | None:
        """Why there is nothing to scrape yet; None if it is ready."""
        with self._lock:
            if self._last_error:
                self._last_error = ""
                self._refresh(self._session.snapshot, promote=True)
            return self._last_error or None

    def attachments(self) -> Sequence[HookStatus]:
        """Each hook: layer, function, mode, state (attached, failed, absent) and why."""
        return self._session.report.hooks

    def losses(self) -> Losses | None:
        """What was lost since the start; None if that cannot be read."""
        try:
            lost, missed = self._session.losses(), self._session.statistics("recursion_misses")
        except OSError:
            log.exception("what was lost cannot be read")
            return None
        return Losses(
            {loss.label: count for loss, count in lost.items() if count},
            {program: runs for program, runs in missed.items() if runs},
        )

    @property
    def selftest_rows(self) -> Sequence[Row]:
        """The result of the last self-test; empty if there is none."""
        return self._selftest.rows if self._selftest else ()

    def close(self) -> None:
        """Stop all threads."""
        self._stopping.set()
        self._keeper.join()
        if self._census:
            self._census.close()
        if self._selftest:
            self._selftest.close()
        if self._watch:
            self._watch.close()
        if self._journal:
            self._journal.close()

    def _unit_of(self, who: EventProcess) -> str:
        """The unit of a process that an event is about; it may have ended."""
        key = ProcessKey(who.tgid, who.start >> 20)
        with self._lock, self._part("units"):
            self._units.meet({key: Process(who.comm, who.cgroup_id, False)})
            return self._units.unit(who.cgroup_id)
        return UNKNOWN_UNIT

    def _keep(self) -> None:
        while not self._stopping.wait(max(self._pause, self._rest)):
            began = time.thread_time()
            with self._lock:
                if self._has_work():
                    self._refresh(lambda: self._session.accounts(of_the_living=False))
            self._rest = (time.thread_time() - began) / _LARGEST_SHARE

    def _has_work(self) -> bool:
        """True if a process has ended since the last reading, or is to be removed now."""
        now = self._clock()
        if now - self._read_whole >= _WHOLE_READING_SECONDS:
            return True
        with self._part("maps"):
            return self._processes.has_work(self._session.exited(), now)
        return False

    def _of_the_host(self, snapshot: Snapshot | None) -> list[Family]:
        """Families with series by device, hook and closed sets of label values."""
        made = self._made
        network, block = self._network_devices.update, self._block_devices.update
        result = made(
            "devices", lambda: device_families.network_families(network(devices.network_devices()))
        )
        result += made(
            "devices", lambda: device_families.block_families(block(devices.block_devices()))
        )
        result += made("fds", lambda: fds.host_families(_FILE_NR.read_text()))
        if snapshot:
            result += made("metrics", lambda: fds.fanotify_families(snapshot.fanotify_waits))
            result += made("metrics", lambda: layers.latency_families(snapshot.latency))
            result += made(
                "metrics", lambda: device_families.filesystem_families(snapshot.filesystems)
            )
            chains = self._chains.update
            result += made(
                "metrics", lambda: device_families.stack_families(chains(snapshot.stacks))
            )
            result += made("metrics", lambda: health.map_families(snapshot))
        if journal := self._journal:
            result += made("metrics", lambda: journal_families(journal.counts()))
        map_bytes = self._session.report.map_bytes
        result += made("metrics", lambda: health.memory_families(map_bytes))
        if tester := self._selftest:
            result += made("metrics", lambda: health.selftest_families(tester.rows))
        session, probes = self._session, health.probe_families
        result += made(
            "metrics", lambda: probes(session.mode, session.preference, self.attachments())
        )
        return result

    def _for_census(self, room: int) -> int:
        """Number of series for the census, of ``room``: at most twice what it had."""
        if self._census is None:
            return 0
        most = max(room, 0) // _CENSUS_SHARE
        if self._shown is None:
            return most
        return min(most, max(2 * _size(self._shown[1]), _LEAST_CENSUS))

    def _for_units(self) -> int:
        """Number of series for the names of units: at most twice what it had."""
        most = max(2 * self._names.shown, _LEAST_UNITS)
        return min(most, self._budget // _UNITS_SHARE)

    def _unit_families(self, owners: Iterable[Owner], room: int) -> list[Family]:
        names = self._names
        infos = list(names.update({owner.unit for owner in owners}, room, self._clock()))
        lookups = names.lookups if self._reads_names else None
        return list(unit_families.unit_families(infos, names.left_out, lookups))

    def _owner_of(self, found: ProcessFds) -> Owner:
        return self._processes.owner_of(found.key, found.process)

    def _census_families(self, budget: int) -> list[Family]:
        """Families of the census, made once a census; a scrape adds its age."""
        taken = self._census.look() if self._census else None
        if self._census is None or taken is None:
            return []
        if self._shown is None or self._shown[0] is not taken:
            with self._part("units"):
                self._units.meet({key: found.process for key, found in taken.processes.items()})
            if self._watch:
                self._watch.census(taken.processes, self._units.unit)
            owners = self._census_owners.choose(taken.processes, budget)
            self._shown = (
                taken,
                [
                    *fds.census_families(taken, owners),
                    *sockets.socket_families(taken, owners),
                    *held.held_families(taken, owners),
                ],
            )
        return [*self._shown[1], fds.census_age_family(self._census.age or 0.0)]

    def _watch_over(self, snapshot: Snapshot) -> None:
        """Tell the journal what is unusual in this reading."""
        if watch := self._watch:
            with self._part("metrics"):
                unit = self._units.unit
                watch.losses(snapshot.losses)
                watch.habits(snapshot.amounts, snapshot.processes, unit)
                if self._selftest:
                    watch.selftest(self._selftest.rows)

    def _ledger(self, snapshot: Snapshot) -> Iterator[Family]:
        lines = ledger((self._processes.sums, snapshot.overflow), snapshot.under_way)
        # Without hooks on the socket layer there is nothing to compare with.
        residuals = self._residuals.update(lines) if self._session.sees_sockets else {}
        return layers.ledger_families(lines, residuals)

    def _refresh(self, read: Callable[[], Accounts], promote: bool = False) -> None:
        reading = self._read(read)
        if reading:
            self._update(reading, promote)

    def _read(self, read: Callable[[], Reading]) -> Reading | None:
        """Read the maps; None if that fails."""
        reading = None
        with self._part("maps"):
            reading = read()
            self._read_whole = self._clock()
        if reading:
            with self._part("units"):
                self._units.meet(reading.processes)
        return reading

    def _update(self, reading: Accounts, promote: bool) -> None:
        """Update the accounts, and remove ended processes from the maps."""
        with self._part("processes"):
            closed = self._processes.update(reading, self._clock(), promote)
            self._session.forget(closed)
            fill = max((m.entries / m.capacity for m in reading.maps.values()), default=0.0)
            least, most = _KEEPER_SECONDS
            self._pause = max(least, most * (1 - fill) ** 4)

    def _made(self, part: str, make: Callable[[], Iterable[Family]]) -> list[Family]:
        """Families of a part; none if it fails."""
        with self._part(part):
            return list(make())
        return []

    @contextmanager
    def _part(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        except Exception as error:
            self._errors[name] += 1
            self._last_error = f"{name}: {error}"
            where = traceback.extract_tb(error.__traceback__)[-1]
            cause = name, type(error).__name__, f"{where.filename}:{where.lineno}"
            if not any(cause in failing for failing in self._failing):
                log.exception("the part %r of the scrape failed", name)
            self._failing[1].add(cause)
        self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - started

    def _own_families(self) -> list[Family]:
        versions = (self._version, platform.python_version(), platform.release())
        counts = self._processes.counts()
        folded = self._processes.folded
        errors = self._errors | ({"census": self._census.failures} if self._census else {})
        return [
            build.gauge(catalog.BUILD, [(versions, 1)]),
            build.gauge(catalog.PROCESSES, (((name,), n) for name, n in counts.items())),
            build.gauge(catalog.MAX_SERIES, [((), self._budget)]),
            build.gauge(
                catalog.SERIES_FOLDED,
                (((rule,), folded[rule]) for rule in catalog.SERIES_FOLDED.labels[0].values),
            ),
            build.gauge(
                catalog.SCRAPE_SECONDS, (((part,), value) for part, value in self._seconds.items())
            ),
            build.gauge(
                catalog.SCRAPE_ERRORS, (((part,), count) for part, count in errors.items())
            ),
        ]


def _size(families: Sequence[Family]) -> int:
    """Number of series of the families."""
    return sum(
        each.size if isinstance(each, build.Table) else len(each.samples) for each in families
    )
