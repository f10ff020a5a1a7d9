# SPDX-License-Identifier: GPL-2.0-only
"""Which events are unusual, and how."""

import tomllib
from dataclasses import replace

import pytest

from fdscope.exporter.journal import usual
from fdscope.exporter.journal.model import Parent, What, Who
from fdscope.exporter.journal.rules import judged
from fdscope.probes.schema.taxonomy import EventKind
from tests.exporter.journal.made import FILE, WHO
from tests.paths import ROOT

STDIO, EXECUTED = EventKind.STDIO_SOCKET, EventKind.EXEC_ON_SOCKET
CAPTURE, PASSED = EventKind.CAPTURE_SOCKET, EventKind.FD_PASSED
DEVICE, MEMFD = EventKind.DEVICE_OPENED, EventKind.MEMFD_EXECUTED
DEBUG = EventKind.DEBUG_ACCESS


def who(name: str, unit: str | None = None, parent: str = "x", container: str | None = None) -> Who:
    return replace(
        WHO, name=name, unit=unit, container=container, program=None, parents=(Parent(2, parent),)
    )


def file(fd_type: str, name: str = "", rdev: str | None = None, writable: bool = True) -> What:
    return replace(FILE, fd_type=fd_type, name=name, rdev=rdev, writable=writable)


PACKET, RAW = file("packet"), file("raw")
CLONE = file("memfd", "memfd:runc_cloned:/proc/self/exe")
DISK, READ_DISK = file("block", "sda", "8:0"), file("block", "sda", "8:0", writable=False)
MEMORY = file("character", "mem", "1:1")
HELPER = who("helper")
CONTAINED = who("x", container="0123456789ab")


@pytest.mark.parametrize(
    ("kind", "of", "what", "other", "severity"),
    [
        (STDIO, who("bash"), FILE, None, "critical"),
        (STDIO, who("python3.13"), FILE, None, "critical"),
        (STDIO, replace(HELPER, program="/usr/bin/dash"), FILE, None, "critical"),
        (STDIO, who("helper"), FILE, None, "warning"),
        (STDIO, who("sshd"), FILE, None, "info"),
        (STDIO, who("(sh)"), FILE, None, "info"),
        (STDIO, who("sh", "git@0-10.0.0.1:1-10.0.0.2:2.service"), FILE, None, "info"),
        (EXECUTED, who("sh"), FILE, None, "critical"),
        (EXECUTED, who("sh", parent="socat"), FILE, None, "critical"),
        (EXECUTED, who("sh", parent="inetd"), FILE, None, "info"),
        (EXECUTED, who("whoami"), FILE, None, "warning"),
        (EXECUTED, who("sshd-session"), FILE, None, "info"),
        (CAPTURE, who("tcpdump"), PACKET, None, "info"),
        (CAPTURE, who("helper"), PACKET, None, "warning"),
        (CAPTURE, who("iptables"), RAW, None, "info"),
        (CAPTURE, who("perl"), RAW, None, "warning"),
        (DEBUG, who("gdb"), None, HELPER, "info"),
        (DEBUG, who("helper"), None, HELPER, "warning"),
        (PASSED, HELPER, FILE, replace(HELPER, uid=7), "info"),
        (PASSED, HELPER, FILE, None, "info"),
        (PASSED, HELPER, PACKET, replace(HELPER, uid=7), "warning"),
        (PASSED, HELPER, FILE, CONTAINED, "warning"),
        (PASSED, CONTAINED, FILE, HELPER, "warning"),
        (EventKind.FD_REFUSED, HELPER, None, None, "warning"),
        (MEMFD, HELPER, file("memfd", "memfd:x"), None, "warning"),
        (MEMFD, HELPER, CLONE, None, "info"),
        (DEVICE, HELPER, MEMORY, None, "critical"),
        (DEVICE, who("dmidecode"), MEMORY, None, "info"),
        (DEVICE, HELPER, READ_DISK, None, "info"),
        (DEVICE, HELPER, DISK, None, "warning"),
        (DEVICE, who("fsck.ext4"), DISK, None, "info"),
        (EventKind.SPECIAL_FD, HELPER, file("bpf"), None, "info"),
    ],
)
def test_severity(
    kind: EventKind, of: Who, what: What | None, other: Who | None, severity: str
) -> None:
    assert judged(kind, of, what, other).severity.value == severity


def test_the_alerts_have_the_same_names() -> None:
    alerts = tomllib.loads((ROOT / "dashboards/alerting/defaults.toml").read_text())
    assert list(usual.SHELLS) == alerts["stdio"]["processes"]
    assert list(usual.STDIO) == alerts["allow"]["stdio-processes"]
    assert list(usual.STDIO_UNITS) == alerts["allow"]["stdio-units"]
    assert list(usual.CAPTURE) == alerts["allow"]["packet-socket"]
    assert list(usual.DEBUG) == alerts["allow"]["debug-access"]


def test_each_runbook_is_there() -> None:
    for kind in EventKind:
        if kind <= EventKind.DEVICE_OPENED:
            runbook = judged(kind, WHO, FILE, None).runbook
            assert runbook is None or (ROOT / f"docs/runbooks/{runbook}.md").exists()
