# SPDX-License-Identifier: GPL-2.0-only
"""Which rule makes an event unusual, and how unusual: from facts alone, without state."""

from dataclasses import dataclass

from fdscope.exporter.journal import usual
from fdscope.exporter.journal.model import Severity, What, Who
from fdscope.exporter.journal.usual import is_one_of
from fdscope.probes.schema.taxonomy import EventKind, FdType

_INFO, _WARNING, _CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL
_POWERFUL = tuple(
    each.label
    for each in (
        *(FdType.PACKET, FdType.RAW, FdType.BPF, FdType.BLOCK, FdType.USERFAULTFD, FdType.FANOTIFY),
        FdType.PERF_EVENT,
    )
)
"""Types of descriptors that give more than access to one file."""
_MEMORY_DEVICES = ("1:1", "1:2", "1:4")
"""/dev/mem, /dev/kmem and /dev/port."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule says."""

    severity: Severity
    rule: str
    runbook: str | None = None
    """Name of the runbook."""


def judged(kind: EventKind, who: Who, file: What | None, other: Who | None) -> Verdict:
    """The verdict on an event of the kernel side."""
    judge = {
        EventKind.STDIO_SOCKET: _stdio,
        EventKind.EXEC_ON_SOCKET: _executed,
        EventKind.CAPTURE_SOCKET: _capture,
        EventKind.DEBUG_ACCESS: _debug,
        EventKind.FD_PASSED: _passed,
        EventKind.FD_REFUSED: _refused,
        EventKind.MEMFD_EXECUTED: _memfd,
        EventKind.DEVICE_OPENED: _device,
    }.get(kind, _special)
    return judge(who, file, other)


def _is_shell(who: Who) -> bool:
    names = (who.name, (who.program or "").rpartition("/")[2])
    return any(is_one_of(name, usual.SHELLS) for name in names)


def _by_design(who: Who) -> bool:
    return is_one_of(who.unit or "", usual.STDIO_UNITS) or is_one_of(who.name, usual.STDIO)


def _stdio(who: Who, _file: What | None, _other: Who | None) -> Verdict:
    runbook = "FdscopeShellStdioBecameSocket"
    if _by_design(who) or is_one_of(who.name, usual.SERVICE_MANAGER):
        return Verdict(_INFO, "stdio_by_design", runbook)
    if _is_shell(who):
        return Verdict(_CRITICAL, "shell_stdio_is_socket", runbook)
    return Verdict(_WARNING, "stdio_is_socket", runbook)


def _executed(who: Who, _file: What | None, _other: Who | None) -> Verdict:
    runbook = "FdscopeShellStdioIsSocket"
    parent = who.parents[0].name if who.parents else ""
    inetd = tuple(name for name in usual.STDIO if name != "socat*")
    if _by_design(who) or is_one_of(parent, inetd):
        return Verdict(_INFO, "stdio_by_design", runbook)
    if _is_shell(who):
        return Verdict(_CRITICAL, "shell_executed_on_socket", runbook)
    return Verdict(_WARNING, "program_executed_on_socket", runbook)


def _capture(who: Who, file: What | None, _other: Who | None) -> Verdict:
    runbook = "FdscopePacketSocketOpened"
    if is_one_of(who.name, usual.CAPTURE):
        return Verdict(_INFO, "capture_by_design", runbook)
    if file and file.fd_type == FdType.PACKET.label:
        return Verdict(_WARNING, "packet_socket", runbook)
    return Verdict(_WARNING if _is_shell(who) else _INFO, "raw_socket", runbook)


def _debug(who: Who, _file: What | None, _other: Who | None) -> Verdict:
    known = is_one_of(who.name, usual.DEBUG)
    rule = "debugger" if known else "debug_access"
    return Verdict(_INFO if known else _WARNING, rule, "FdscopeDebugAccess")


def _passed(who: Who, file: What | None, other: Who | None) -> Verdict:
    runbook = "FdscopeFdPassedToStranger"
    if other and other.container != who.container:
        return Verdict(_WARNING, "fd_passed_between_containers", runbook)
    if file and file.fd_type in _POWERFUL:
        return Verdict(_WARNING, "powerful_fd_passed", runbook)
    if other is None:
        return Verdict(_INFO, "fd_passed_by_unknown", runbook)
    rule = "fd_passed_between_users" if other.uid != who.uid else "fd_passed_between_units"
    return Verdict(_INFO, rule, runbook)


def _refused(_who: Who, _file: What | None, _other: Who | None) -> Verdict:
    return Verdict(_WARNING, "no_free_fd", "FdscopeFdLimitNear")


def _memfd(_who: Who, file: What | None, _other: Who | None) -> Verdict:
    if file and is_one_of(file.name, usual.CLONED):
        return Verdict(_INFO, "container_engine_cloned")
    return Verdict(_WARNING, "memfd_executed")


def _device(who: Who, file: What | None, _other: Who | None) -> Verdict:
    if file and file.rdev in _MEMORY_DEVICES:
        known = is_one_of(who.name, usual.MEMORY)
        return Verdict(_INFO if known else _CRITICAL, "memory_device")
    if not file or not file.writable or is_one_of(who.name, usual.DISKS):
        return Verdict(_INFO, "disk_opened")
    return Verdict(_WARNING, "disk_opened_for_writing")


def _special(_who: Who, _file: What | None, _other: Who | None) -> Verdict:
    return Verdict(_INFO, "special_fd", "FdscopeNewFdType")
