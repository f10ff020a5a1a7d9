# SPDX-License-Identifier: GPL-2.0-only
"""Sinks that work, and sinks that are slow, full, gone, or not what they seem."""

import os
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fdscope.exporter.journal.sinks.file import FileSink
from fdscope.exporter.journal.sinks.journald import Journald
from fdscope.exporter.journal.sinks.outlet import Line, Outlet
from fdscope.exporter.journal.sinks.stream import Stream
from tests.exporter.journal.made import EVENT, WHO, Valve, line


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# The queue.


def test_a_slow_sink_holds_up_nothing() -> None:
    valve = Valve()
    outlet = Outlet(valve, most_lines=10)
    outlet.start()
    outlet.put(line(0))
    valve.waits.wait()  # the sink has it, and does not return
    started = time.monotonic()
    for number in range(1, 31):
        outlet.put(line(number))
    assert time.monotonic() - started < 5
    assert outlet.lost == 20
    valve.open.set()
    outlet.close()
    assert valve.taken == [f'{{"n":{number}}}' for number in range(11)]
    assert (outlet.written, outlet.lost) == (11, 20)


def test_long_lines_are_bounded_by_their_length() -> None:
    valve = Valve()
    outlet = Outlet(valve)
    for number in range(10):
        outlet.put(line(number, (1 << 20) * "x"))
    assert outlet.lost == 6
    valve.open.set()
    outlet.start()
    outlet.close()
    assert (outlet.written, outlet.lost) == (4, 6)


def test_a_sink_that_never_returns_does_not_hold_up_the_end() -> None:
    valve = Valve()
    outlet = Outlet(valve)
    outlet.start()
    outlet.put(line())
    valve.waits.wait()
    outlet.put(line())
    started = time.monotonic()
    outlet.close(seconds=0.1)
    assert time.monotonic() - started < 5
    assert outlet.lost == 1
    valve.open.set()


# Standard output.


def test_standard_output_is_written_in_whole_lines() -> None:
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb") as reader:
        assert Stream(theirs).write([line(1), line(2)]) == 2
        os.close(theirs)
        assert reader.read() == b'{"n":1}\n{"n":2}\n'


def test_a_reader_that_has_left_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    outlet = Outlet(Stream(theirs))
    outlet.start()
    for number in range(5):
        outlet.put(line(number))
        wait_for(lambda told=number: outlet.lost == told + 1)  # type: ignore[misc]
    outlet.close()
    os.close(theirs)
    assert outlet.lost == 5
    assert sum("takes no events: Broken pipe" in each.message for each in caplog.records) == 1


# A file.


def sink(path: Path, most_bytes: int = 1 << 20, kept: int = 2) -> FileSink:
    return FileSink(path, most_bytes, kept)


def test_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "events"
    file = sink(path)
    assert file.write([line(1)]) == 1
    assert file.write([line(2)]) == 1
    file.close()
    assert path.read_text() == '{"n":1}\n{"n":2}\n'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_rotation_by_size(tmp_path: Path) -> None:
    path = tmp_path / "events"
    file = sink(path, most_bytes=16)
    assert file.write([line(number) for number in range(9)]) == 9
    file.close()
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {
        "events": '{"n":8}\n',
        "events.1": '{"n":6}\n{"n":7}\n',
        "events.2": '{"n":4}\n{"n":5}\n',
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_older_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "events"
    file = sink(path, most_bytes=16, kept=0)
    assert file.write([line(number) for number in range(5)]) == 5
    file.close()
    assert [each.name for each in tmp_path.iterdir()] == ["events"]


def test_a_line_that_is_longer_than_the_file(tmp_path: Path) -> None:
    file = sink(tmp_path / "events", most_bytes=4)
    assert file.write([line(1), line(2)]) == 2
    file.close()
    assert (tmp_path / "events.1").read_text() == '{"n":1}\n'


@pytest.mark.parametrize("how", ["link", "hard link", "directory", "fifo", "missing directory"])
def test_what_is_no_file_of_ours(tmp_path: Path, how: str) -> None:
    path, target = tmp_path / "events", tmp_path / "target"
    target.write_text("kept")
    if how == "link":
        path.symlink_to(target)
    elif how == "hard link":
        path.hardlink_to(target)
    elif how == "directory":
        path.mkdir()
    elif how == "fifo":
        os.mkfifo(path)
    else:
        path = tmp_path / "a" / "b"
    with pytest.raises(OSError, match=r"events|a/b"):
        sink(path).write([line()])
    assert target.read_text() == "kept"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files of two users")
def test_a_file_of_another_user(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.touch()
    os.chown(path, 12345, 12345)
    with pytest.raises(OSError, match="another user"):
        sink(path).write([line()])


def test_two_exporters_and_one_file(tmp_path: Path) -> None:
    first, second = sink(tmp_path / "events"), sink(tmp_path / "events")
    first.write([line()])
    with pytest.raises(OSError, match="another exporter writes to it"):
        second.write([line()])
    first.close()
    assert second.write([line()]) == 1
    second.close()


def test_a_file_that_was_moved_or_removed(tmp_path: Path) -> None:
    path = tmp_path / "events"
    file = sink(path)
    file.write([line(1)])
    path.rename(tmp_path / "moved")
    file.write([line(2)])
    path.unlink()
    file.write([line(3)])
    file.close()
    assert path.read_text() == '{"n":3}\n'


def test_a_line_that_was_cut_by_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_text('{"n":1}\n{"n":')
    file = sink(path)
    file.write([line(2)])
    file.close()
    assert path.read_text() == '{"n":1}\n{"n":\n{"n":2}\n'


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small filesystem")
def test_a_full_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(tmp_path)]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("no filesystem can be mounted here")
    try:
        caplog.set_level("INFO")
        outlet = Outlet(sink(tmp_path / "events"))
        for number in range(64):
            outlet.put(line(number, 3000 * "x"))
        outlet.start()
        wait_for(lambda: outlet.written + outlet.lost == 64)
        assert 15 < outlet.written < 64
        lines = (tmp_path / "events").read_text().splitlines(keepends=True)
        assert lines == outlet.written * [3000 * "x" + "\n"]
        (tmp_path / "events").unlink()
        outlet.put(line(7))
        wait_for(lambda: outlet.written + outlet.lost == 65)
        outlet.close()
        assert (tmp_path / "events").read_text() == '{"n":7}\n'
        messages = [each.message for each in caplog.records]
        assert sum("file takes no events" in text for text in messages) == 1
        assert sum("takes events again" in text for text in messages) == 1
    finally:
        subprocess.run(["umount", tmp_path], check=True)


# systemd's journal.


def entries(server: socket.socket, number: int) -> list[dict[str, str]]:
    found = []
    for _ in range(number):
        text = server.recv(1 << 16).decode()
        assert text.endswith("\n")
        found.append(dict(each.split("=", 1) for each in text.splitlines()))
    return found


def listening(path: Path) -> socket.socket:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.bind(str(path))
    server.settimeout(10)
    return server


def test_structured_fields(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    journald = Journald(path)
    event = replace(EVENT, other=replace(WHO, name="ssh", pid=8, unit=None, command=None))
    with listening(path) as server:
        assert journald.write([Line(event, '{"x":1}')]) == 1
        (entry,) = entries(server, 1)
    journald.close()
    assert entry == {
        "MESSAGE": EVENT.text,
        "PRIORITY": "2",
        "SYSLOG_IDENTIFIER": "fdscope",
        "FDSCOPE_KIND": "stdio_socket",
        "FDSCOPE_SEVERITY": "critical",
        "FDSCOPE_RULE": "shell_stdio_is_socket",
        "FDSCOPE_PROCESS": "bash",
        "FDSCOPE_PROCESS_PID": "42",
        "FDSCOPE_PROCESS_UID": "0",
        "FDSCOPE_PROCESS_UNIT": "x.service",
        "FDSCOPE_PROCESS_COMMAND": "bash -i",
        "FDSCOPE_OTHER": "ssh",
        "FDSCOPE_OTHER_PID": "8",
        "FDSCOPE_OTHER_UID": "0",
        "FDSCOPE_FD_TYPE": "tcp",
        "FDSCOPE_REMOTE": "10.0.0.2:4444",
        "FDSCOPE_RUNBOOK": "runbooks/X.md",
        "FDSCOPE_EVENT": '{"x":1}',
    }


def test_a_journal_that_is_restarted(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    journald = Journald(path)
    with pytest.raises(OSError, match="No such file"):
        journald.write([line()])
    with listening(path):
        assert journald.write([line(1)]) == 1
    with pytest.raises(OSError, match="refused"):
        journald.write([line(2)])
    path.unlink()
    with listening(path) as server:
        assert journald.write([line(3)]) == 1
        assert entries(server, 1)[0]["FDSCOPE_EVENT"] == '{"n":3}'
    journald.close()


def test_a_journal_that_reads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fdscope.exporter.journal.sinks.journald._SECONDS", 0.2)
    outlet = Outlet(Journald(tmp_path / "socket"), most_lines=100_000)
    with listening(tmp_path / "socket"):
        outlet.start()
        for number in range(2000):
            outlet.put(line(number))
        wait_for(lambda: outlet.lost > 0)
        outlet.close(seconds=0.1)
    assert outlet.written < 2000
    assert threading.active_count() < 20
