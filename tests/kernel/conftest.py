# SPDX-License-Identifier: GPL-2.0-only
"""Real probes on the running kernel, and known workloads in processes of their own."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from probes.session import Session, attach
from probes.snapshot import Amount, ProcessKey, Snapshot, slot
from probes.source import Settings
from probes.taxonomy import Account, Door, FdType, Mode, Scope

Counted = dict[tuple[Account, FdType, Door | Scope, int], Amount]
"""(account, fd type, door or scope, errno) to amount."""

Work = Callable[[], object]
"""A workload; what it returns does not matter."""

Run = Callable[[Work], Counted]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.kernel)


def modes() -> list[Mode]:
    """The attach modes to try: all, or the one that FDSCOPE_ATTACH_MODE names."""
    wanted = os.environ.get("FDSCOPE_ATTACH_MODE", "auto")
    return list(Mode) if wanted == "auto" else [Mode(wanted)]


@pytest.fixture(scope="session")
def session() -> Iterator[Session]:
    if os.geteuid() != 0:
        pytest.fail("these tests attach probes: run them as root")
    attached = attach(modes(), Settings())
    yield attached
    attached.close()


def of_tgid(snapshot: Snapshot, tgid: int) -> Counted:
    """All that a snapshot holds of one process."""
    counted: Counted = {}
    for key, amounts in snapshot.amounts.items():
        if key.tgid == tgid:
            counted |= {tuple(slot(code)): amount for code, amount in amounts.items()}  # type: ignore[misc]
    return counted


def key_of(snapshot: Snapshot, tgid: int) -> ProcessKey:
    """The process of that tgid."""
    return next(key for key in snapshot.amounts if key.tgid == tgid)


def in_child(work: Work) -> int:
    """Run ``work`` in a forked process until it ends; its tgid. A failure there fails the test."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException as error:
            os.write(2, f"workload: {error!r}\n".encode())
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, "the workload failed: see its message above"
    return pid


@pytest.fixture
def run(session: Session) -> Run:
    """Runs a workload in a process of its own, and answers what was counted of it."""

    def run_workload(work: Work) -> Counted:
        tgid = in_child(work)
        return of_tgid(session.snapshot(), tgid)

    return run_workload
