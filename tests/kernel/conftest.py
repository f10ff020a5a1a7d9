# SPDX-License-Identifier: GPL-2.0-only
"""Real probes on the running kernel, and known workloads in separate processes."""

import inspect
import json
import os
import platform
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from fdscope.probes.attach.settings import Settings
from fdscope.probes.hooks.syscalls import TailCall
from fdscope.probes.hooks.table import of_mode
from fdscope.probes.kernel import preemption
from fdscope.probes.read.session import Session, attach
from fdscope.probes.schema.slots import Via, slot
from fdscope.probes.schema.snapshot import Accounts, Amount, ProcessKey
from fdscope.probes.schema.taxonomy import Account, FdType, Mode
from fdscope.probes.selftest import run as selftest
from tests.kernel import skipped
from tests.scorecard.runner import kernel_version, skips_runs

Counted = dict[tuple[Account, FdType, Via, int], Amount]
"""(account, fd type, via, errno) to amount."""

Work = Callable[[], object]
"""A workload; its result is ignored."""

Run = Callable[[Work], Counted]

Exactly = Callable[[int, int], None]
"""From operations counted and done: ``skipped.exactly()`` with the runs that were skipped."""

_SKIPS = pytest.StashKey[Session]()
"""The probes, where the kernel skips runs of them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.kernel)


def modes() -> list[Mode]:
    """The attach modes to try: all, or the one that FDSCOPE_ATTACH_MODE names."""
    wanted = os.environ.get("FDSCOPE_ATTACH_MODE", "auto")
    return list(preemption.best_first()) if wanted == "auto" else [Mode(wanted)]


def can_follow_stacks(mode: Mode) -> bool:
    """False where kprobes at the socket layer hide the call chains: a blind spot."""
    return mode is not Mode.KPROBE or kernel_version() >= (5, 15)


ROOMY = Settings(counter_entries=1 << 17, process_entries=1 << 16)


@contextmanager
def attached_with(settings: Settings) -> Iterator[Session]:
    """More probes, for tests of what most do not need."""
    more = attach(modes(), settings)
    try:
        yield more
    finally:
        more.close()


@pytest.fixture(scope="session")
def session() -> Iterator[Session]:
    if os.geteuid() != 0:
        pytest.fail("these tests attach probes: run them as root")
    # Large maps: no update is lost during the tests, whatever else this host does.
    attached = attach(modes(), ROOMY)
    if "FDSCOPE_REPORTS" in os.environ:
        write_support_report(attached, Path(os.environ["FDSCOPE_REPORTS"]))
    yield attached
    attached.close()


def skipped_runs(missed: int) -> str:
    """The reason for missing operations: so many runs of the probes were skipped."""
    return f"the kernel skipped {missed} runs of the probes, as fdscope reports"


@pytest.fixture(autouse=True)
def probes_that_skip(request: pytest.FixtureRequest) -> None:
    """Keep the probes with the test where the kernel skips runs of them."""
    if preemption.preempts():
        attached: Session = request.getfixturevalue("session")
        if skips_runs(attached.mode):
            request.node.stash[_SKIPS] = attached


@pytest.fixture
def exactly(session: Session) -> Exactly:
    """Compares counted operations with known ones."""
    before = session.missed_runs()
    return lambda counted, expected: skipped.exactly(
        counted, expected, session.missed_runs() - before
    )


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Where the kernel skips runs of the probes, a test may be run again."""
    if _SKIPS not in pyfuncitem.stash:
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    skipped.retry(lambda: pyfuncitem.obj(**arguments), pyfuncitem.stash[_SKIPS].missed_runs)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Only a failure that skipped runs explain is expected."""
    report = yield
    if call.excinfo and isinstance(call.excinfo.value, skipped.FewerError):
        report.outcome = "skipped"
        report.wasxfail = f"{call.excinfo.value}, as fdscope reports"
    return report


@pytest.fixture(scope="session")
def measuring() -> Iterator[Session]:
    """Probes that also measure durations and sample every stack."""
    attached = attach(modes(), Settings(latency=True, stacks_every=1))
    yield attached
    attached.close()


def write_support_report(session: Session, directory: Path) -> None:
    """Attached hooks, hooks that fired and exact doors here, for the table of kernels."""
    statistics = Path("/proc/sys/kernel/bpf_stats_enabled")
    before = statistics.read_text()
    statistics.write_text("1")
    missed_before = session.missed_runs()
    rows = selftest.run(session).rows
    missed = session.missed_runs() - missed_before
    runs = session.snapshot().runs
    statistics.write_text(before)
    tail_calls = {tail.name.lower() for tail in TailCall}
    programs = {hook.function: (hook.function, hook.program) for hook in of_mode(session.mode)}
    notes = [f"{row.case}: {row.unsupported}" for row in rows if row.unsupported]
    exact = all(row.ok for row in rows)
    if missed and not exact:
        notes.append(skipped_runs(missed))
    report = {
        "kernel": platform.release(),
        "bcc": session.report.bcc,
        "mode": session.mode.value,
        "arch": platform.machine(),
        "hooks": [
            asdict(hook)
            | {
                "fired": any(
                    runs[program].count
                    for program in runs
                    for name in programs[hook.function]
                    if program.endswith(f"_{name}")
                )
            }
            for hook in session.report.hooks
            if hook.function not in tail_calls  # the kernel keeps no statistics of these
        ],
        "verified_instructions": session.statistics("verified_insns"),
        "doors": [
            {"door": row.door, "fd_type": row.fd_type, "ok": row.ok}
            for row in rows
            if not row.unsupported
        ],
        "result": "passed" if exact else "failed",
        "note": "; ".join(notes),
    }
    path = directory / f"support-{session.mode.value}.json"
    path.write_text(json.dumps(report, indent=1))


def of_tgid(snapshot: Accounts, tgid: int) -> Counted:
    """The part of a reading about one process."""
    counted: Counted = {}
    for key, amounts in snapshot.amounts.items():
        if key.tgid == tgid:
            counted |= {slot(code)[:4]: amount for code, amount in amounts.items()}
    return counted


def key_of(snapshot: Accounts, tgid: int) -> ProcessKey:
    """The process of that tgid."""
    return next(key for key in snapshot.amounts if key.tgid == tgid)


def start_child(work: Work) -> int:
    """Start ``work`` in a forked process; its tgid."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException as error:
            os.write(2, f"workload: {error!r}\n".encode())
            os._exit(1)
        os._exit(0)
    return pid


def end_child(pid: int) -> None:
    """Wait until it ends. A failure there fails the test."""
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, "the workload failed: see its message above"


def in_child(work: Work) -> int:
    """Run ``work`` in a forked process until it ends; its tgid."""
    pid = start_child(work)
    end_child(pid)
    return pid


@pytest.fixture
def run(session: Session) -> Run:
    """Runs a workload in a separate process, and returns what was counted for it."""

    def run_workload(work: Work) -> Counted:
        tgid = in_child(work)
        return of_tgid(session.snapshot(), tgid)

    return run_workload
