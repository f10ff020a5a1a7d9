# SPDX-License-Identifier: GPL-2.0-only
"""The journal of a running exporter: reads events, judges them, hands their lines to the sinks.

Its thread waits for the kernel's ring buffer and reads nothing in between.
"""

import logging
import os
import select
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from fdscope.exporter.journal import rules, words
from fdscope.exporter.journal.enrich import Clocks, Enricher, Unit, what
from fdscope.exporter.journal.limits import SUMMARY_SECONDS, Limits
from fdscope.exporter.journal.model import Event, Severity, Who, line
from fdscope.exporter.journal.sinks.outlet import Line, Outlet
from fdscope.probes.schema.event import EventProcess, KernelEvent
from fdscope.probes.schema.taxonomy import EventCount, EventKind
from fdscope.probes.text import printable

log = logging.getLogger(__name__)

_MOST_TOLD = 256
"""Events of user space that wait for the journal's thread."""
_MOST_UNITS = 4096
_UNKNOWN = "(unknown)"

Place = tuple[str, str]
"""A unit, container or cgroup, and a kind of event."""


class Source(Protocol):
    """The kernel side: ``probes.read.events.Events``."""

    @property
    def descriptor(self) -> int:
        """Readable while there are events."""

    def take(self) -> list[KernelEvent]:
        """The next events."""

    def counts(self) -> dict[EventCount, int]:
        """All events, and those that did not reach the ring buffer."""

    def left_out(self) -> list[tuple[int, int, EventKind, int]]:
        """(cgroup id, tgid, kind, number) of what was above the kernel's limits."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What happened to the events since the start."""

    events: Mapping[tuple[str, str], int]
    """(kind, severity) to events that were handed to the sinks."""
    lost: Mapping[str, int]
    """Reason to events that were not."""
    written: Mapping[str, int]
    """Sink to lines written."""
    lines_lost: Mapping[str, int]
    """Sink to lines that it did not take."""


@dataclass(frozen=True, slots=True)
class Told:
    """An event that user space has found."""

    kind: EventKind
    severity: Severity
    rule: str
    text: str
    facts: Mapping[str, int | str]
    process: Who | None = None
    runbook: str | None = None


class Journal:
    """Events of the kernel side, and of ``tell()``, to the sinks."""

    def __init__(
        self,
        source: Source,
        outlets: Sequence[Outlet],
        per_minute: int,
        runbooks: str,
        own: int,
    ) -> None:
        """``per_minute``: events of a kind that a unit may write. ``runbooks``: their address.

        ``own``: the exporter's tgid; it and what it starts are left out.
        """
        self._source = source
        self._outlets = outlets
        self._limits: Limits[Place] = Limits(per_minute)
        self._runbooks = runbooks
        self._own = own
        self._host = printable(os.uname().nodename)
        self._events: Counter[tuple[str, str]] = Counter()
        self._lost: Counter[str] = Counter()
        self._told: deque[Told] = deque()
        self._units: dict[int, str] = {}
        self._flood_due: float | None = None
        self._flood_seen = 0
        self._failed: set[str] = set()
        self._lock = threading.Lock()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stopping = False
        self._clocks = Clocks.now()
        self._enricher: Enricher | None = None
        self._find_unit: Unit = lambda _: _UNKNOWN
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    def start(self, unit: Unit) -> None:
        """Start the threads; ``unit`` finds the unit of a process."""
        self._find_unit = unit
        self._enricher = Enricher(self._unit)
        for outlet in self._outlets:
            outlet.start()
        self._thread.start()

    def tell(self, told: Told) -> None:
        """Add an event of user space, from any thread; never waits."""
        with self._lock:
            if len(self._told) >= _MOST_TOLD:
                self._lost["limit"] += 1
                return
            self._told.append(told)
        os.eventfd_write(self._wake, 1)

    def counts(self) -> Counts:
        """What happened to the events, for a scrape."""
        kernel = self._source.counts()
        with self._lock:
            lost = dict(self._lost) | {
                "ring_full": kernel[EventCount.RING_FULL],
                "flood": kernel[EventCount.FLOOD],
            }
            events = dict(self._events)
        return Counts(
            events,
            lost,
            {outlet.name: outlet.written for outlet in self._outlets},
            {outlet.name: outlet.lost for outlet in self._outlets},
        )

    def close(self) -> None:
        """Write what is there and stop; a sink that does not take it is not waited for long."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)
        if self._thread.is_alive():
            self._thread.join()
        for outlet in self._outlets:
            outlet.close()
        os.close(self._wake)

    def _run(self) -> None:
        waiting = select.poll()
        waiting.register(self._source.descriptor, select.POLLIN)
        waiting.register(self._wake, select.POLLIN)
        while not self._stopping:
            waiting.poll(self._milliseconds())
            self._turn()
        while self._turn():
            pass
        self._summarize()
        self._write_summary_of_flood()

    def _milliseconds(self) -> int | None:
        """Until the next summary; None without one: then only an event ends the wait."""
        dues = [due for due in (self._limits.due, self._flood_due) if due is not None]
        return max(0, int((min(dues) - time.monotonic()) * 1000) + 1) if dues else None

    def _turn(self) -> bool:
        """Write what is there; true if there were events of the kernel side."""
        with self._lock:
            told, self._told = self._told, deque()
        if told or self._stopping:
            with suppress(BlockingIOError):
                os.eventfd_read(self._wake)
        for each in told:
            self._write(self._of_user_space(each))
        taken = self._source.take()
        self._clocks = self._clocks.or_later()
        for event in taken:
            self._handle(event, self._clocks)
        now = time.monotonic()
        if taken and self._flood_due is None:
            # A flood begins with events that are told.
            self._flood_due = now + SUMMARY_SECONDS
        if self._limits.due is not None and now >= self._limits.due:
            self._summarize()
        if self._flood_due is not None and now >= self._flood_due:
            self._write_summary_of_flood()
        return bool(taken)

    def _handle(self, event: KernelEvent, clocks: Clocks) -> None:
        try:
            made = self._judged(event, clocks)
        except Exception as error:  # a border: one event must not end the journal
            self._count_lost("error")
            if type(error).__name__ not in self._failed:
                log.exception("journal: an event cannot be told")
                self._failed.add(type(error).__name__)
            return
        if made:
            self._write(made)

    def _judged(self, event: KernelEvent, clocks: Clocks) -> Event | None:
        """The event; None if it is above the limit of its unit, or fdscope's own."""
        assert self._enricher  # noqa: S101 - start() has made it
        if self._is_own(event):
            self._count_lost("own")
            return None
        place = self._unit(event.process) or f"cgroup {event.process.cgroup_id}"
        if not self._limits.allows((place, event.kind.label), time.monotonic()):
            self._count_lost("limit")
            return None
        who = self._enricher.process(event, clocks)
        other = self._enricher.other(event.other, clocks) if event.other else None
        file = what(event.file) if event.file else None
        verdict = rules.judged(event.kind, who, file, other)
        facts: dict[str, int | str] = {"tid": event.tid}
        if event.errno:
            facts["errno"] = words.name_of_error(event.errno)
        if event.kind is EventKind.DEBUG_ACCESS:
            facts["method"] = event.method.label
        return Event(
            event.kind.label,
            verdict.severity,
            verdict.rule,
            words.sentence(event, who, file, other),
            clocks.monotonic + event.time,
            event.time,
            who,
            other,
            file,
            facts,
            self._runbook(verdict.runbook),
        )

    def _is_own(self, event: KernelEvent) -> bool:
        """True for the exporter, and for the processes that its self-test starts."""
        return self._own in (event.process.tgid, *(pid for pid, _ in event.parents))

    def _of_user_space(self, told: Told) -> Event:
        return Event(
            told.kind.label,
            told.severity,
            told.rule,
            told.text,
            time.time_ns(),
            time.monotonic_ns(),
            told.process,
            facts=told.facts,
            runbook=self._runbook(told.runbook),
        )

    def _runbook(self, name: str | None) -> str | None:
        return f"{self._runbooks}/{name}.md" if name else None

    def _unit(self, who: EventProcess) -> str:
        """The unit of a process; kept by cgroup, for the look-up waits for scrapes."""
        unit = self._units.get(who.cgroup_id)
        if unit is None:
            unit = self._find_unit(who)
            if len(self._units) >= _MOST_UNITS:
                self._units.clear()
            if unit != _UNKNOWN:
                self._units[who.cgroup_id] = unit
        return unit

    def _write(self, event: Event) -> None:
        with self._lock:
            self._events[event.kind, event.severity.value] += 1
        made = Line(event, line(event, self._host))
        for outlet in self._outlets:
            outlet.put(made)

    def _count_lost(self, reason: str) -> None:
        with self._lock:
            self._lost[reason] += 1

    def _summarize(self) -> None:
        for key, number in self._limits.summary().items():
            place, kind = key or ("other units", "several kinds")
            self._left_out(number, place, kind, "unit_limit")

    def _write_summary_of_flood(self) -> None:
        """What the kernel side has left out; again later if there was any."""
        self._flood_due = None
        flood = self._source.counts()[EventCount.FLOOD]
        if flood == self._flood_seen:
            return
        self._flood_seen = flood
        if not self._stopping:
            self._flood_due = time.monotonic() + SUMMARY_SECONDS
        for cgroup_id, tgid, kind, number in self._source.left_out():
            unit = self._units.get(cgroup_id) or f"cgroup {cgroup_id}"
            place = f"pid {tgid} in {unit}" if tgid else unit
            self._left_out(number, place, kind.label, "kernel_limit")

    def _left_out(self, number: int, place: str, kind: str, rule: str) -> None:
        self._write(
            self._of_user_space(
                Told(
                    EventKind.EVENTS_LEFT_OUT,
                    Severity.WARNING,
                    rule,
                    f"{number} further events of kind {kind} were left out: too many from {place}",
                    {"left_out": number, "of": place, "of_kind": kind},
                )
            )
        )
