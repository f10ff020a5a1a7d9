# SPDX-License-Identifier: GPL-2.0-only
"""An event in words: one short English sentence, of text that is already printable."""

from fdscope.exporter.journal.model import What, Who
from fdscope.probes.schema.event import KernelEvent
from fdscope.probes.schema.taxonomy import DebugMethod, EventKind

_ERRORS = {23: "ENFILE", 24: "EMFILE"}


def name_of_error(number: int) -> str:
    """The name of an errno that events have."""
    return _ERRORS.get(number, f"errno {number}")


def named(who: Who | None) -> str:
    """A process: its name, its number, its user or unit."""
    if who is None:
        return "an unknown process"
    place = who.unit or (who.container and f"container {who.container}")
    return f"{who.name} (pid {who.pid}, {who.user or who.uid}{f', {place}' if place else ''})"


def _peer(file: What) -> str:
    if file.remote is None or file.remote.endswith(":0"):
        return f"{file.fd_type} socket"
    return f"{file.fd_type} socket to {file.remote}"


def _stdio(who: Who, file: What, _other: Who | None) -> str:
    return f"{named(who)} put a {_peer(file)} on its fd {file.fd}"


def _executed(who: Who, file: What, _other: Who | None) -> str:
    shown = f": {who.command}" if who.command else ""
    return f"{named(who)} was executed with a {_peer(file)} as standard input{shown}"


def _capture(who: Who, file: What, _other: Who | None) -> str:
    return f"{named(who)} opened a {file.fd_type} socket"


def _passed(who: Who, file: What, other: Who | None) -> str:
    shown = _peer(file) if file.remote else f"{file.fd_type} {file.name}".rstrip()
    return f"{named(who)} received fd {file.fd} ({shown}) from {named(other)}"


def _memfd(who: Who, file: What, _other: Who | None) -> str:
    return f"{named(who)} executes a program in memory, {file.name}"


def _special(who: Who, file: What, _other: Who | None) -> str:
    return f"{named(who)} opened {file.fd_type}, the first of that name and unit"


def _device(who: Who, file: What, _other: Who | None) -> str:
    how = "for writing" if file.writable else "for reading"
    return f"{named(who)} opened the device {file.name} ({file.rdev}) {how}"


_ABOUT_FILES = {
    EventKind.STDIO_SOCKET: _stdio,
    EventKind.EXEC_ON_SOCKET: _executed,
    EventKind.CAPTURE_SOCKET: _capture,
    EventKind.FD_PASSED: _passed,
    EventKind.MEMFD_EXECUTED: _memfd,
    EventKind.SPECIAL_FD: _special,
    EventKind.DEVICE_OPENED: _device,
}


def sentence(event: KernelEvent, who: Who, file: What | None, other: Who | None) -> str:
    """An event of the kernel side."""
    if event.kind is EventKind.FD_REFUSED:
        error = name_of_error(event.errno)
        return f"{named(who)} got no new fd: {error}, from a call for {event.birth.label}"
    if event.kind is EventKind.DEBUG_ACCESS:
        if event.method is DebugMethod.PIDFD_GETFD:
            shown = f" ({_peer(file)})" if file and file.remote else ""
            return f"{named(who)} copied an fd{shown} of {named(other)} by pidfd_getfd"
        return f"{named(who)} attached to {named(other)} by {event.method.label}"
    if file is None:
        return f"{named(who)}: {event.kind.label}"
    return _ABOUT_FILES[event.kind](who, file, other)
