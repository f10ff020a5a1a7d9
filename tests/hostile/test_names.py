# SPDX-License-Identifier: GPL-2.0-only
"""Names of any bytes: everything is served, the names are escaped, and no byte is lost."""

import contextlib
import fcntl
import http.client
import json
import os
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdscope.probes.text import printable
from tests.hostile.actors import STRANGER, actor, rename, start
from tests.hostile.answers import Exporter
from tests.hostile.cgroups import Subtree, subtree
from tests.scorecard.served import served

RIGHT_TO_LEFT = "\u202e".encode()
LINE_BREAKS_OF_PYTHON = (
    b"\x1c",
    b"\x1d",
    b"\x1e",
    b"\x0b",
    b"\x0c",
    "\x85".encode(),
    b"\xe2\x80\xa8",
)
"""str.splitlines() ends a line at each, and the kernel does not."""

RECEIVED = "fdscope_network_device_received_bytes_total"

OF_PROCESSES = (
    b"\xff", b"\xff\xfe\xfd" * 5, b"a\nb 1\n# c", b'"}, {', b"a\\", b"\\n\\", b"\x01\x02\x1b[31m",
    RIGHT_TO_LEFT + b"txt.exe", b"\xf0\x9f\x98\x80 \xf0\x9f\x98\x80 \xf0\x9f\x98\x80\xf0", b"",
    b"(other processes)"[:15], b"\x7f", b"\xed\xa0\x80", b"{}=,#", *LINE_BREAKS_OF_PYTHON,
)  # fmt: skip
OF_CGROUPS = (
    b"\xff.service", b"\xff" * 247 + b".service", b"\x01" * 247 + b".service",
    b"b" * 249 + b".scope",
    b'a"b.service', b"a\\b.service", b"a\\x2db.service", b'"}, {x="y.service', b"\x1b[31m.service",
    RIGHT_TO_LEFT + b"gnp.service", b" .service", b"# HELP.service", b"\xed\xa0\x80.service",
    b"a:b.service", b"\x7f\r\t.service", "\u00e9\u4e2d\U0001f600.service".encode(),
    *(ends + b".service" for ends in LINE_BREAKS_OF_PYTHON),
)  # fmt: skip
OF_DEVICES = (
    b'a"b', b"\x01x\x7f", b"\xff\xfe", b"a\\nb\\", RIGHT_TO_LEFT + b"ab", b"{},=#", b"\x1b[31m",
    b"\xed\xbf\x80", b"1e5", b"\xe3\x80\x80w", *LINE_BREAKS_OF_PYTHON[:3],
    *LINE_BREAKS_OF_PYTHON[5:],
)  # fmt: skip


def short(name: bytes) -> str:
    """The first bytes of a name, to tell a test by."""
    return f"{name[:12]!r}{len(name)}"


@pytest.mark.parametrize("name", OF_PROCESSES, ids=short)
def test_processes(exporter: Exporter, name: bytes) -> None:
    with actor(name) as who:
        who.write(4321)
        reading = exporter.wait_for("the process", 5, pid=who.pid, process=printable(name))
        assert reading.written(pid=who.pid, process=printable(name)) == 4321
        assert reading.written(pid=who.pid) == 4321
    again = exporter.ask(openmetrics=True).parse()
    assert not again.errors()


@pytest.mark.parametrize("name", OF_CGROUPS, ids=short)
def test_units(exporter: Exporter, cgroups: Subtree, name: bytes) -> None:
    with actor(b"in-odd-unit", cgroups.make(name)) as who:
        who.write(1234)
        reading = exporter.wait_for("the unit", 5, pid=who.pid, unit=printable(name))
        assert reading.written(pid=who.pid, process="in-odd-unit") == 1234
        who.write(1000)
    assert exporter.read().written(process="in-odd-unit", unit=printable(name)) == 2234
    again = exporter.ask(openmetrics=True).parse()
    assert again.written(process="in-odd-unit", unit=printable(name)) == 2234
    assert not again.errors()


def test_the_kernel_refuses_a_newline_in_a_cgroup(cgroups: Subtree) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        cgroups.make(b"a\nb.service")


def test_a_user_without_rights_gives_odd_names(exporter: Exporter) -> None:
    """As one with a delegated cgroup, and while others are watched."""

    def make_odd_ones() -> None:
        for number, name in enumerate(OF_CGROUPS):
            path = os.fsencode(ours.path) + b"/" + name
            os.mkdir(path)  # noqa: PTH102 - bytes
            Path(os.fsdecode(path), "cgroup.procs").write_text("0")
            rename(OF_PROCESSES[number % len(OF_PROCESSES)])
            os.write(file, bytes(10))

    with subtree("fdscope-test-delegated", STRANGER) as ours, actor(b"bystander") as other:
        other.write(5)
        file = os.open("/var/tmp", os.O_TMPFILE | os.O_RDWR)  # noqa: S108 - without a name
        pid = start(make_odd_ones, ours.path, STRANGER)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        os.close(file)
        reading = exporter.wait_for("the bystander", 5, pid=other.pid, process="bystander")
        assert reading.written(pid=other.pid) == 5
        assert not reading.errors()


def test_the_page_shows_odd_names(exporter: Exporter, cgroups: Subtree) -> None:
    """Its events stay JSON, whatever the names are."""
    with actor(b"\xff\n\x00", cgroups.make(b'\xff"\\.service')) as who:
        for _ in range(64):  # the page shows those that move most
            who.write(1 << 24)
        client = http.client.HTTPConnection(*exporter.address, timeout=30)
        with contextlib.closing(client):
            client.request("GET", "/events")
            response = client.getresponse()
            line = next(iter(response))
        assert line.startswith(b"data: ")
        state = json.loads(line.removeprefix(b"data: "))
        assert state["readable"] is True
        units = {row["unit"] for row in state["total"]["processes"]}
        assert r'\xff"\.service' in units


@contextlib.contextmanager
def network_device(name: bytes) -> Iterator[None]:
    """A network device that goes with its descriptor."""
    try:
        device = os.open("/dev/net/tun", os.O_RDWR)
    except OSError as error:
        pytest.skip(f"this kernel makes no network devices for programs: {error}")
    try:
        request = struct.pack("16sH22x", name, 0x0001 | 0x1000)  # IFF_TUN, IFF_NO_PI
        fcntl.ioctl(device, 0x400454CA, request)  # TUNSETIFF
        yield
    finally:
        os.close(device)


@pytest.mark.parametrize("name", OF_DEVICES, ids=short)
def test_network_devices(exporter: Exporter, name: bytes) -> None:
    before = {row.labels["device"] for row in exporter.read().rows(RECEIVED)}
    with network_device(name):
        reading = exporter.read()
        devices = {row.labels["device"] for row in reading.rows(RECEIVED)}
        assert printable(name) in devices
        assert before <= devices
        assert not reading.errors()
    assert not exporter.ask(openmetrics=True).parse().errors()


@pytest.mark.parametrize("name", [b"\xff", b"a\nb - cgroup2 c", *LINE_BREAKS_OF_PYTHON], ids=short)
def test_mount_points(name: bytes) -> None:
    """Where the hierarchy is mounted is read from a list that also has other people's mounts."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        point = os.fsencode(folder) + b"/" + name
        os.mkdir(point)  # noqa: PTH102 - bytes
        try:
            subprocess.run(["mount", "-t", "tmpfs", "none", point], check=True)
            with (
                served(os.environ.get("FDSCOPE_ATTACH_MODE", "auto")) as running,
                subtree("fdscope-test") as ours,
                actor(b"with-mounts", ours.make("mounts.service")) as who,
            ):
                who.write(99)
                reading = Exporter.of(running).wait_for("the unit", 5, pid=who.pid)
                assert reading.written(pid=who.pid, unit="mounts.service") == 99
        finally:
            subprocess.run(["umount", point], check=True)


def test_a_name_is_cut_by_the_kernel_in_the_middle_of_a_character(exporter: Exporter) -> None:
    name = "é".encode() * 7 + "中".encode()  # 14 bytes, and one of three
    with actor(name) as who:
        who.write(7)
        exporter.wait_for("the process", 5, pid=who.pid, process=printable(name[:15]))


def test_names_are_no_markers_of_the_exporter(exporter: Exporter) -> None:
    """A process cannot pass for what was folded or could not be told."""
    for marker in (b"(not attributed", b"(other processe", b"(unknown proces"):
        assert len(marker) <= 15
        with actor(marker) as who:
            who.write(3)
            reading = exporter.wait_for("the process", 5, pid=who.pid, process=printable(marker))
            assert reading.written(pid=who.pid) == 3
