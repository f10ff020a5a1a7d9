# SPDX-License-Identifier: GPL-2.0-only
"""Runs ``probes.attach.loader`` in a process of its own and takes over what it attached."""

import errno
import json
import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import asdict, replace

from fdscope.probes import child
from fdscope.probes.attach.report import Report
from fdscope.probes.attach.settings import Settings
from fdscope.probes.kernel.limits import reason
from fdscope.probes.schema.taxonomy import Mode

_TIMEOUT_SECONDS = 1800
"""Real kernel headers on an emulated CPU take minutes."""
_LOG_CHARACTERS = 2000
"""How much of the compiler's messages an error shows."""


class AttachError(Exception):
    """No probe could be attached; the text says why, mode by mode, and what to do."""


class _EndedEarlyError(Exception):
    """The loader has closed its end before it had sent all."""


def _receive_exactly(peer: socket.socket, count: int) -> bytes:
    parts = b""
    while len(parts) < count:
        part = peer.recv(count - len(parts))
        if not part:
            raise _EndedEarlyError
        parts += part
    return parts


def _receive_fd(peer: socket.socket) -> int:
    data, fds, flags, _ = socket.recv_fds(peer, 1, 1)
    if not data:
        raise _EndedEarlyError
    if flags & socket.MSG_CTRUNC:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    os.set_inheritable(fds[0], False)
    return fds[0]


def _receive(peer: socket.socket) -> tuple[Report, list[int]]:
    """The report and the descriptors; none stays open if not all of them come."""
    length = int.from_bytes(_receive_exactly(peer, 4), "little")
    report = Report.from_json(_receive_exactly(peer, length))
    fds: list[int] = []
    try:
        for _ in range(report.open_files):
            fds.append(_receive_fd(peer))
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise
    return report, fds


def _how_it_ended(status: int, log: str) -> str:
    """Why the loader ended: one line, and the log if it is a bug of fdscope."""
    last_line = log.rpartition("\n")[2].strip()
    if "bad_alloc" in log or "MemoryError" in last_line:
        return f"the process that compiles failed: {reason(MemoryError())}"
    if status == -signal.SIGKILL:
        return (
            "the process that compiles was killed, by the kernel if memory was short: see `dmesg`"
        )
    if status < 0:
        return f"the process that compiles ended by {signal.Signals(-status).name}: {last_line}"
    return f"the process that compiles ended with status {status}\n{log}"


def launch(modes: Sequence[Mode], settings: Settings) -> tuple[Report, list[int]]:
    """The loader's report, and the descriptors that it hands over.

    AttachError if no mode works, or the operating system refuses the process.
    """
    request = json.dumps({"modes": [m.value for m in modes], "settings": asdict(settings)})
    try:
        log = os.fdopen(os.memfd_create("fdscope-loader"), "w+b")
        with log:
            report, fds = _launch(request, log.fileno())
            log.seek(0)
            report = replace(report, log=log.read().decode(errors="replace"))
    except (OSError, MemoryError) as error:
        raise AttachError(
            f"the process that compiles cannot be started: {reason(error)}"
        ) from error
    if report.error:
        log_end = report.log[-_LOG_CHARACTERS:] if "compile" in report.error else ""
        raise AttachError(f"{report.error}\n{log_end}".strip())
    return report, fds


def _launch(request: str, log: int) -> tuple[Report, list[int]]:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            loader = child.start(
                "attach.loader",
                request,
                str(theirs.fileno()),
                output=log,
                errors=log,
                pass_fds=[theirs.fileno()],
            )
        ours.settimeout(_TIMEOUT_SECONDS)
        try:
            return _receive(ours)
        except _EndedEarlyError:
            written = os.pread(log, os.fstat(log).st_size, 0).decode(errors="replace").strip()
            text = _how_it_ended(loader.wait(), written[-_LOG_CHARACTERS:])
            raise AttachError(text) from None
        except TimeoutError:
            raise AttachError(f"compiling took more than {_TIMEOUT_SECONDS} s: given up") from None
        finally:
            loader.kill()  # it has ended, unless we were interrupted
            loader.wait()
