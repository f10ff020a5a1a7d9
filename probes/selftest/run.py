# SPDX-License-Identifier: GPL-2.0-only
"""The self-test: moves known bytes through each door and compares them with what was counted."""

import json
import os
import selectors
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import IO, Any, cast

from fdscope.probes import child
from fdscope.probes.attach.settings import Settings
from fdscope.probes.hooks.table import SOCKET_TRACEPOINTS
from fdscope.probes.read.session import Session, attach
from fdscope.probes.schema.slots import Slot, slot
from fdscope.probes.schema.snapshot import Accounts, Amount
from fdscope.probes.schema.taxonomy import Account, Door, FdType, Loss, Mode
from fdscope.probes.selftest.cases import CASES, Answer, Case

_DIRECTIONS = {
    "read": (Account.FILE_READ, Account.SOCKET_RECEIVE),
    "written": (Account.FILE_WRITE, Account.SOCKET_SEND),
}
# The kernel moves these without the receive path that the socket layer's hooks see.
_BLIND = {(Door.SPLICE, "read"), (Door.SENDFILE, "read")}
_TIMEOUT_SECONDS = 60
_STEP_SECONDS = 0.1
_ROOM_SECONDS = 1.0
"""Between two tries: others empty the maps meanwhile."""
_TRIES = 3
_FULL_MAPS = (Loss.COUNTERS_FULL, Loss.PENDING_FULL, Loss.CALLS_FULL)


class TooSlowError(subprocess.SubprocessError):
    """The known bytes were not moved in time: the machine is busy with other things."""

    def __init__(self) -> None:
        super().__init__(
            f"the process that moves the known bytes took more than {_TIMEOUT_SECONDS} s"
        )


@dataclass(frozen=True, slots=True)
class Row:
    """Bytes of one case, fd type and direction: moved and counted."""

    case: str
    door: str
    fd_type: str
    direction: str
    """``read`` or ``written``, seen from the process."""
    expected_bytes: int
    file_bytes: int
    socket_bytes: int | None
    """None if it does not pass the socket layer, or that is not hooked or known to be blind."""
    ok: bool
    unsupported: str = ""
    """Why this kernel cannot do it, or cannot trace it; such a row is ok."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one self-test."""

    rows: Sequence[Row]
    lost: int
    """Updates of any process that were lost during the test because a map was full."""

    @property
    def ok(self) -> bool:
        """True if all bytes were counted."""
        return all(row.ok for row in self.rows)

    @property
    def judges(self) -> bool:
        """False if rows may be wrong because a map was full, and not because of the probes."""
        return self.ok or not self.lost


def _nothing() -> None:
    pass


def _counted(accounts: Accounts, pid: int) -> list[tuple[Slot, Amount]]:
    return [
        (slot(code), amount)
        for key, amounts in accounts.amounts.items()
        if key.tgid == pid
        for code, amount in amounts.items()
    ]


def _row(
    case: Case,
    direction: str,
    fd_type: FdType,
    expected: int,
    counted: list[tuple[Slot, Amount]],
    sockets: bool,
) -> Row:
    file_account, socket_account = _DIRECTIONS[direction]
    file_bytes = sum(
        amount.bytes
        for what, amount in counted
        if what[:3] == (file_account, fd_type, case.door) and not what.errno
    )
    socket_bytes = None
    if sockets and fd_type.is_socket and (case.door, direction) not in _BLIND:
        socket_bytes = sum(
            amount.bytes for what, amount in counted if what[:2] == (socket_account, fd_type)
        )
    ok = file_bytes == expected and socket_bytes in (None, expected)
    words = (case.name, case.door.label, fd_type.label, direction)
    return Row(*words, expected, file_bytes, socket_bytes, ok)


def _rows(case: Case, answer: Answer, accounts: Accounts, session: Session) -> Iterator[Row]:
    why = answer.unsupported
    if case.door.label in session.blind_doors:
        why = "no hook of this door could be attached"
    if why:
        yield Row(case.name, case.door.label, "", "", 0, 0, None, True, why)
        return
    counted = _counted(accounts, answer.pid)
    for direction in _DIRECTIONS:
        for fd_type, expected in answer.moved(direction).items():
            yield _row(case, direction, fd_type, expected, counted, session.sees_sockets)


@contextmanager
def _cases_done(quick: bool, meanwhile: Callable[[], None]) -> Iterator[dict[str, Answer]]:
    """The answers of the worker; the processes of its cases live until the context is left.

    As long as they live, nobody removes their counters from the maps.
    """
    pipe = subprocess.PIPE
    with child.start(
        "selftest.worker", "quick" if quick else "all", commands=pipe, output=pipe, errors=pipe
    ) as worker:
        try:
            answers = json.loads(_line(worker, meanwhile))
            yield {case: Answer(**answer) for case, answer in answers.items()}
            worker.communicate(timeout=_TIMEOUT_SECONDS)  # closes its input: it ends
        except subprocess.TimeoutExpired as error:
            worker.kill()
            raise TooSlowError from error
        except BaseException:
            worker.kill()
            raise


def _line(worker: "subprocess.Popen[bytes]", meanwhile: Callable[[], None]) -> bytes:
    """The line that the worker prints when all cases are done."""
    output = cast(IO[bytes], worker.stdout)
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    text = b""
    with selectors.DefaultSelector() as ready:
        ready.register(output, selectors.EVENT_READ)
        while not text.endswith(b"\n"):
            meanwhile()
            if time.monotonic() > deadline:
                raise TooSlowError
            if not ready.select(_STEP_SECONDS):
                continue
            part = os.read(output.fileno(), 1 << 16)
            if not part:
                _, errors = worker.communicate(timeout=_TIMEOUT_SECONDS)
                why = errors.decode(errors="replace").strip().rpartition("\n")[2]
                raise subprocess.SubprocessError(
                    "the process that moves the known bytes ended with status"
                    f" {worker.returncode}: {why}"
                )
            text += part
    return text


def run(session: Session, quick: bool = False, meanwhile: Callable[[], None] = _nothing) -> Result:
    """Move known bytes, read the maps, compare. Takes a second, or a tenth if ``quick``.

    Any thread may run it while others read and empty the maps. ``meanwhile`` is called some ten
    times a second until the bytes are moved. OSError or subprocess.SubprocessError if the
    workload cannot be run.
    """
    before = _lost(session)
    with _cases_done(quick, meanwhile) as answers:
        accounts = session.peek()
    rows = [
        row
        for case in CASES
        if case.name in answers
        for row in _rows(case, answers[case.name], accounts, session)
    ]
    return Result(rows, _lost(session) - before)


def _lost(session: Session) -> int:
    losses = session.losses()
    return sum(losses[loss] for loss in _FULL_MAPS)


def judge(
    session: Session, quick: bool = False, meanwhile: Callable[[], None] = _nothing
) -> Result:
    """Like ``run``, and again if a map was full: three times at most."""
    result = run(session, quick, meanwhile)
    for _ in range(_TRIES - 1):
        if result.judges:
            break
        until = time.monotonic() + _ROOM_SECONDS
        while time.monotonic() < until:
            meanwhile()
            time.sleep(_STEP_SECONDS)
        result = run(session, quick, meanwhile)
    return result


def next_try(
    rows: Sequence[Row], mode: Mode, modes: Sequence[Mode], settings: Settings
) -> tuple[Sequence[Mode], Settings] | None:
    """What to attach instead if hooks are attached and do not fire; None if there is nothing.

    If the file layer's first doors are wrong the next mode is tried; if the socket layer counts
    nothing, the hooks that are alternatives to its tracepoints.
    """
    later = list(modes)[list(modes).index(mode) + 1 :]
    core = [row for row in rows if row.door == Door.READ_WRITE.label and not row.unsupported]
    if any(row.file_bytes != row.expected_bytes for row in core):
        return (later, settings) if later else None
    seen = [row.socket_bytes for row in rows if row.socket_bytes is not None]
    if seen and not any(seen) and settings.avoid != SOCKET_TRACEPOINTS:
        return [mode, *later], replace(settings, avoid=SOCKET_TRACEPOINTS)
    return None


def attach_what_fires(
    modes: Sequence[Mode], settings: Settings, progress: Callable[[str], None]
) -> tuple[Session, Sequence[Row]]:
    """Attach, test in small, and try the next candidates if hooks do not fire.

    AttachError if nothing can be attached; what is wrong in the end is in the rows. There are none
    if the test could not judge the probes: a map was full, or it took too long.
    """
    while True:
        session = attach(modes, settings, progress)
        try:
            result = judge(session, quick=True, meanwhile=session.set_aside)
            if not result.judges:
                progress(
                    f"{session.mode.value} mode is kept untested: {result.lost} updates were lost"
                    " during the self-test because maps were full"
                )
                return session, ()
        except TooSlowError as error:
            progress(f"{session.mode.value} mode is kept untested: {error}")
            return session, ()
        except BaseException:
            session.close()
            raise
        instead = next_try(result.rows, session.mode, modes, settings)
        if instead is None:
            return session, result.rows
        progress(f"{session.mode.value} mode is attached and does not count right: trying the next")
        session.close()
        modes, settings = instead


def text(rows: Sequence[Row]) -> str:
    """A table for people, and what it comes to."""
    lines = [f"{'case':34} {'door':16} {'fd type':15} {'dir':8} {'expected':>8} {'file':>8} socket"]
    for row in rows:
        if row.unsupported:
            lines.append(f"{row.case:34} {row.door:16} not here: {row.unsupported}")
            continue
        socket_bytes = "-" if row.socket_bytes is None else str(row.socket_bytes)
        mark = "" if row.ok else "   WRONG"
        lines.append(
            f"{row.case:34} {row.door:16} {row.fd_type:15} {row.direction:8}"
            f" {row.expected_bytes:8} {row.file_bytes:8} {socket_bytes:>6}{mark}"
        )
    wrong = sum(not row.ok for row in rows)
    lines.append(f"{len(rows)} rows, {'all exact' if not wrong else f'{wrong} wrong'}")
    return "\n".join(lines)
