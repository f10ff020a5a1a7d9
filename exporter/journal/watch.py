# SPDX-License-Identifier: GPL-2.0-only
"""Events that user space finds: about fdscope itself, and about what processes usually do."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from fdscope.exporter.journal.journal import Told
from fdscope.exporter.journal.model import Severity
from fdscope.exporter.journal.profiles import Profiles, ProfilesError
from fdscope.exporter.journal.state import LastRun, State
from fdscope.probes.attach.report import HookStatus
from fdscope.probes.attach.report import State as HookState
from fdscope.probes.read.census import ProcessFds
from fdscope.probes.schema.snapshot import Amount, Process, ProcessKey
from fdscope.probes.schema.taxonomy import EventKind, Loss, Mode
from fdscope.probes.selftest.run import Row
from fdscope.probes.text import printable

log = logging.getLogger(__name__)

LIMIT_NEAR, LIMIT_FAR, LEAST_LIMIT = 0.9, 0.8, 64
"""An event at this share of the limit, and another one only after it was below the second one;
lower limits are set on purpose, by sandboxed programs."""
_LOSSES_SECONDS = 60.0
_KEEP_SECONDS = 60.0
_PROFILES = "profiles.json"

Result = TypeVar("Result")
Unit = Callable[[int], str]
"""From the id of a cgroup to its unit."""


class Teller(Protocol):
    """The journal, as far as it is used here."""

    def tell(self, told: Told) -> None:
        """Write an event."""


class Watch:
    """Compares what the exporter reads anyway with what it read before; one thread at a time."""

    def __init__(
        self,
        journal: Teller,
        state: State,
        learn_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``learn_seconds``: how long profiles learn; 0: there are none."""
        self._journal = journal
        self._state = state
        self._clock = clock
        self._mode = ""
        self._profiles = Profiles(learn_seconds) if learn_seconds else None
        self._amounts: dict[ProcessKey, Mapping[int, Amount]] = {}
        self._near: set[ProcessKey] = set()
        self._losses: Mapping[Loss, int] = {}
        self._losses_due = 0.0
        self._rows: Sequence[Row] = ()
        self._kept = clock()

    def start(self, version: str, mode: Mode, hooks: Iterable[HookStatus]) -> None:
        """Report how this run begins, and how the last one ended."""
        self._mode = mode.value
        last = self._guarded(self._state.last_run)
        ended = "unknown" if last is None else "stopped" if last.stopped else "crashed"
        notes = {
            "stopped": "",
            "unknown": "",
            "crashed": "; the last run was killed or crashed: what it had not written is lost",
        }
        facts = {"version": version, "mode": mode.value, "last_run": ended}
        severity = Severity.WARNING if ended == "crashed" else Severity.INFO
        text = f"fdscope {version} follows events in {mode.value} mode{notes[ended]}"
        self._tell(EventKind.JOURNAL_STARTED, severity, "start", text, facts)
        if last and last.mode != mode.value:
            text = f"the attach mode has changed from {printable(last.mode)} to {mode.value}"
            facts = {"mode": mode.value, "before": printable(last.mode)}
            runbook = "FdscopeProbesFellBack"
            self._tell(
                EventKind.MODE_CHANGED, Severity.WARNING, "mode_changed", text, facts, runbook
            )
        for hook in hooks:
            if hook.state is HookState.FAILED:
                text = f"the hook on {hook.function} could not be attached: {_line(hook.why)}"
                facts = {"function": hook.function, "layer": hook.layer}
                self._tell(EventKind.PROBE_NOT_ATTACHED, Severity.WARNING, "hook", text, facts)
        self._guarded(lambda: self._state.note_run(LastRun(mode.value, stopped=False)))
        self._guarded(self._load)

    def close(self) -> None:
        """Report that this run ends well, and keep what was learned."""
        text = "fdscope stops: what happens from here on is not followed"
        self._tell(EventKind.JOURNAL_STOPPED, Severity.INFO, "stop", text, {})
        self._guarded(self._keep)
        self._guarded(lambda: self._state.note_run(LastRun(self._mode, stopped=True)))

    def losses(self, losses: Mapping[Loss, int]) -> None:
        """Report updates that were lost since the last event about them."""
        now = self._clock()
        more = {
            loss.label: count - self._losses.get(loss, 0)
            for loss, count in losses.items()
            if count > self._losses.get(loss, 0)
        }
        if not more or now < self._losses_due:
            return
        self._losses, self._losses_due = losses, now + _LOSSES_SECONDS
        words = ", ".join(f"{number} by {reason}" for reason, number in more.items())
        text = f"updates of the counters were lost: {words}"
        runbook = "FdscopeLostUpdates"
        self._tell(EventKind.UPDATES_LOST, Severity.WARNING, "losses", text, more, runbook)

    def selftest(self, rows: Sequence[Row]) -> None:
        """Report a self-test with wrong rows, once."""
        if rows is self._rows:
            return
        self._rows = rows
        wrong = [row for row in rows if not row.ok]
        if not wrong:
            return
        cases = ", ".join(dict.fromkeys(f"{row.case} ({row.fd_type})" for row in wrong))
        text = f"the self-test finds {len(wrong)} of {len(rows)} rows wrong: {cases}"
        facts = {"wrong": len(wrong), "rows": len(rows)}
        runbook = "FdscopeSelftestMismatch"
        self._tell(EventKind.SELFTEST_FAILED, Severity.WARNING, "selftest", text, facts, runbook)

    def census(self, processes: Mapping[ProcessKey, ProcessFds], unit: Unit) -> None:
        """Report processes that are near their limit of open fds, once each time."""
        self._near &= processes.keys()
        for key, found in processes.items():
            if found.limit < LEAST_LIMIT or found.total < LIMIT_FAR * found.limit:
                self._near.discard(key)
            elif found.total >= LIMIT_NEAR * found.limit and key not in self._near:
                self._near.add(key)
                self._tell_near(key, found, unit(found.process.cgroup_id))

    def _tell_near(self, key: ProcessKey, found: ProcessFds, unit: str) -> None:
        name, open_fds = printable(found.process.name), found.total
        most = max(found.counts, key=lambda fd_type: found.counts[fd_type]).label
        text = (
            f"{name} (pid {key.tgid}{f', {unit}' if unit else ''}) has {open_fds} open fds of"
            f" {found.limit} that it may have, most of them {most}"
        )
        facts: dict[str, int | str] = {"name": name, "pid": key.tgid, "unit": unit}
        facts |= {"open_fds": open_fds, "limit": found.limit, "most": most}
        runbook = "FdscopeFdLimitNear"
        self._tell(EventKind.FD_LIMIT_NEAR, Severity.WARNING, "fd_limit", text, facts, runbook)

    def habits(
        self,
        amounts: Mapping[ProcessKey, Mapping[int, Amount]],
        processes: Mapping[ProcessKey, Process],
        unit: Unit,
    ) -> None:
        """Report processes that do what no process of their name and unit did before."""
        if self._profiles is None:
            return
        for key, codes in amounts.items():
            before = self._amounts.get(key)
            # Of processes that did nothing, the reading has the same object.
            if before is codes or (before is not None and before.keys() == codes.keys()):
                continue
            if process := processes.get(key):
                owner = printable(process.name), unit(process.cgroup_id)
                for new in self._profiles.meet(owner, codes):
                    self._tell_new(key, owner, new)
        self._amounts = dict(amounts)
        if self._profiles.changed and self._clock() - self._kept >= _KEEP_SECONDS:
            self._guarded(self._keep)

    def _tell_new(self, key: ProcessKey, owner: tuple[str, str], new: str) -> None:
        name, unit = owner
        place = f", {unit}" if unit else ""
        text = f"{name} (pid {key.tgid}{place}) does what is not in its profile: {new}"
        facts: dict[str, int | str] = {"name": name, "pid": key.tgid, "unit": unit, "habit": new}
        runbook = "FdscopeNewFdType"
        self._tell(EventKind.NEW_BEHAVIOR, Severity.INFO, "profile", text, facts, runbook)

    def _load(self) -> None:
        text = self._state.read(_PROFILES)
        if self._profiles is None or not text:
            return
        try:
            self._profiles.load(text)
        except ProfilesError as error:
            log.warning("journal: %s in the state directory: %s", _PROFILES, error)

    def _keep(self) -> None:
        self._kept = self._clock()
        if self._profiles is not None and self._profiles.changed:
            self._state.write(_PROFILES, self._profiles.text())

    def _tell(
        self,
        kind: EventKind,
        severity: Severity,
        rule: str,
        text: str,
        facts: Mapping[str, int | str],
        runbook: str | None = None,
    ) -> None:
        self._journal.tell(Told(kind, severity, rule, text, facts, runbook=runbook))

    def _guarded(self, do: Callable[[], Result]) -> Result | None:
        try:
            return do()
        except OSError as error:
            log.warning("journal: the state directory cannot be used: %s", error)
        return None


def _line(text: str) -> str:
    return printable(text.strip().partition("\n")[0])
