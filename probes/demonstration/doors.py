# SPDX-License-Identifier: GPL-2.0-only
"""Writes the same bytes to a file, a pipe, a TCP connection and a terminal, and reads the counts.

The four files are made here, and written to by a child process. Its counts are those of any other
process: what the probes saw.
"""

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fdscope.probes import child
from fdscope.probes.demonstration.worker import TEXT
from fdscope.probes.schema.slots import slot
from fdscope.probes.schema.snapshot import NOTHING, Accounts, Amount
from fdscope.probes.schema.taxonomy import Account, Door
from fdscope.probes.text import printable

if TYPE_CHECKING:  # it brings numpy, which a server without probes does not need
    from fdscope.probes.read.session import Session

_TIMEOUT_SECONDS = 20.0
_STEP_SECONDS = 0.01
_BY_WRITE = ("file", "pipe", "tcp", "terminal")
_FOLDERS = (tempfile.gettempdir, lambda: "/var/tmp", lambda: "/dev/shm")  # noqa: S108


class DoorsError(Exception):
    """The demonstration cannot be run; the text says why."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One call on one file: what was written, and what each layer counted."""

    name: str
    """``file``, ``pipe``, ``tcp`` or ``terminal``."""
    call: str
    """The system call: ``write`` or ``send``."""
    fd: int
    link: str
    """What /proc/PID/fd shows for the fd."""
    fd_type: str
    filesystem: str
    functions: Sequence[str]
    """What the kernel calls for this file, outermost first; empty if the names are hidden."""
    written: int
    """Bytes that the call returned."""
    door: str
    file_layer: int
    """Bytes that fdscope counted at the file layer."""
    socket_layer: int | None
    """Bytes that it counted at the socket layer; None if it is no socket, or there is no hook."""


@contextmanager
def _files() -> Iterator[Mapping[str, int]]:
    """Descriptors to write to, by the name of their lane; OSError if one cannot be made."""
    with ExitStack() as stack:
        reader, writer = os.pipe()
        master, terminal = os.openpty()
        regular = _regular()
        for fd in (reader, writer, master, terminal, regular):
            stack.callback(os.close, fd)
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        client = stack.enter_context(socket.create_connection(listener.getsockname()))
        stack.enter_context(listener.accept()[0])
        yield {"file": regular, "pipe": writer, "tcp": client.fileno(), "terminal": terminal}


def _regular() -> int:
    """A regular file without a name, in the first folder that can be written to."""
    for folder in _FOLDERS:
        try:
            return os.open(folder(), os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        except OSError as error:
            refused = error
    raise refused


def _wait_until_stopped(worker: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if worker.poll() is not None:
            _, errors = worker.communicate(timeout=_TIMEOUT_SECONDS)
            why = errors.decode(errors="replace").strip().rpartition("\n")[2]
            raise DoorsError(f"the process that writes the bytes has ended: {printable(why)}")
        if os.waitid(os.P_PID, worker.pid, os.WSTOPPED | os.WNOHANG):
            return
        time.sleep(_STEP_SECONDS)
    raise DoorsError(f"the process that writes the bytes took more than {_TIMEOUT_SECONDS:.0f} s")


def _counted(session: "Session", plan: Sequence[tuple[str, int]]) -> dict[int, Amount]:
    """Run a plan in a process of its own; its amounts by slot code."""
    worker = child.start(
        "demonstration.worker",
        json.dumps(plan),
        output=subprocess.DEVNULL,
        errors=subprocess.PIPE,
        pass_fds=[fd for _, fd in plan],
    )
    with worker:
        try:
            _wait_until_stopped(worker)
            before = _amounts(session.peek(), worker.pid)
            worker.send_signal(signal.SIGCONT)
            _wait_until_stopped(worker)
            after = _amounts(session.peek(), worker.pid)
        finally:
            worker.kill()
    return {code: amount.minus(before.get(code, NOTHING)) for code, amount in after.items()}


def _amounts(accounts: Accounts, pid: int) -> dict[int, Amount]:
    keys = [key for key in accounts.amounts if key.tgid == pid]
    # An earlier process of this number may still be in the map.
    return dict(accounts.amounts[max(keys, key=lambda key: key.start)]) if keys else {}


def _bytes(amounts: Mapping[int, Amount], account: Account, fd_type: str, door: str = "") -> int:
    chosen = ((slot(code), amount) for code, amount in amounts.items())
    return sum(
        amount.bytes
        for what, amount in chosen
        if what.account is account
        and what.fd_type.label == fd_type
        and (not door or what.via.label == door)
    )


def run(session: "Session") -> list[Lane]:
    """The lanes: one for each file by write(), and one more of the connection by send().

    Takes some tenths of a second. DoorsError if it cannot be run here.
    """
    if session.operations is None:
        raise DoorsError("the program that reads the functions of a file is not loaded")
    try:
        with _files() as fds:
            plans = (
                [("write", name, fds[name]) for name in _BY_WRITE],
                [("send", "tcp", fds["tcp"])],
            )
            return [lane for plan in plans for lane in _lanes(session, plan)]
    except OSError as error:
        raise DoorsError(f"a file cannot be made or read: {error.strerror or error}") from error


def _lanes(session: "Session", plan: Sequence[tuple[str, str, int]]) -> Iterator[Lane]:
    assert session.operations is not None  # noqa: S101 - run() has checked it
    amounts = _counted(session, [(call, fd) for call, _, fd in plan])
    for call, name, fd in plan:
        found = session.operations.read(fd)
        fd_type, sends = found.fd_type, call == "send"
        door = Door.SOCKET_CALL if sends else Door.READ_WRITE
        sees = fd_type.is_socket and session.sees_sockets
        yield Lane(
            name=name,
            call=call,
            fd=fd,
            link=printable(str(Path(f"/proc/self/fd/{fd}").readlink())),
            fd_type=fd_type.label,
            filesystem=found.filesystem,
            functions=found.send if sends else found.write,
            written=len(TEXT),
            door=door.label,
            file_layer=_bytes(amounts, Account.FILE_WRITE, fd_type.label, door.label),
            socket_layer=_bytes(amounts, Account.SOCKET_SEND, fd_type.label) if sees else None,
        )
