# SPDX-License-Identifier: GPL-2.0-only
"""Events that no kernel has seen, with values that are easy to recognise."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address

from fdscope.exporter.journal.model import Event, Parent, Severity, What, Who
from fdscope.exporter.journal.sinks.outlet import Line
from fdscope.probes.schema.event import EventFile, EventProcess, EventSocket, KernelEvent
from fdscope.probes.schema.taxonomy import Birth, DebugMethod, EventKind, FdType, Scope

HOSTILE = b'a\n"\x1b[31m\xff\xe2\x80\xae'
WHO = Who(
    "bash", 42, "2026-01-01T00:00:00.000000Z", 0, "root", "x.service", None, "/bin/bash", "bash -i",
    False, "pts/0", (Parent(7, "sshd"), Parent(1, "systemd")),
)  # fmt: skip
FILE = What(
    0, "tcp", "dup", "TCP", 99, "0:9", None, True, 6, "remote", "10.0.0.1:1000", "10.0.0.2:4444",
    "established",
)  # fmt: skip
EVENT = Event(
    "stdio_socket", Severity.CRITICAL, "shell_stdio_is_socket", "bash put a socket there",
    1_700_000_000_123_456_789, 5_000_000_000, WHO, None, FILE, {"tid": 42}, "runbooks/X.md",
)  # fmt: skip

PROCESS = EventProcess(42, 3_000_000_000, 0, 1, b"bash")
KERNEL_FILE = EventFile(
    0, FdType.TCP, Birth.DUP, 99, 9, 0, True, b"TCP", 2, 6, Scope.REMOTE,
    EventSocket(IPv4Address("10.0.0.1"), 1000, IPv4Address("10.0.0.2"), 4444, 1),
)  # fmt: skip
KERNEL_EVENT = KernelEvent(
    5_000_000_000, EventKind.STDIO_SOCKET, PROCESS, 42, ((7, b"sshd"), (1, b"systemd")), b"bash",
    b"bash\0-i\0", 8, b"pts0", None, KERNEL_FILE, Birth.DUP, DebugMethod.PIDFD_GETFD, 0,
)  # fmt: skip


def line(number: int = 0, text: str | None = None) -> Line:
    """A line that can be told from others."""
    return Line(replace(EVENT, time=number), text or f'{{"n":{number}}}')


class Valve:
    """A sink that takes lines while it is open."""

    name = "file"

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.open = threading.Event()
        self.waits = threading.Event()

    def write(self, lines: Sequence[Line]) -> int:
        self.waits.set()
        self.open.wait()
        self.taken += [each.text for each in lines]
        return len(lines)

    def close(self) -> None:
        """Nothing to give back."""
