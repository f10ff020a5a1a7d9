# SPDX-License-Identifier: GPL-2.0-only
"""The same bytes through four kinds of file, on the running kernel."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fdscope.probes.demonstration import doors
from fdscope.probes.demonstration.worker import TEXT
from fdscope.probes.read.session import Session

FDS = Path("/proc/self/fd")


def test_every_layer_counts_every_byte(session: Session) -> None:
    lanes = doors.run(session)
    assert [(lane.name, lane.call) for lane in lanes] == [
        ("file", "write"), ("pipe", "write"), ("tcp", "write"), ("terminal", "write"),
        ("tcp", "send"),
    ]  # fmt: skip
    assert {lane.file_layer for lane in lanes} == {len(TEXT)}
    at_socket = [lane.socket_layer for lane in lanes if lane.name == "tcp"]
    assert at_socket == [len(TEXT) if session.sees_sockets else None] * 2
    assert {lane.socket_layer for lane in lanes if lane.name != "tcp"} == {None}


def test_what_the_kernel_calls_for_each(session: Session) -> None:
    ways = {(lane.name, lane.call): list(lane.functions) for lane in doors.run(session)}
    assert len(ways["file", "write"]) == 1
    assert "write" in ways["file", "write"][0]
    assert ways["pipe", "write"] in (["pipe_write"], ["anon_pipe_write"])
    assert ways["tcp", "write"] == ["sock_write_iter", "inet_sendmsg", "tcp_sendmsg"]
    assert ways["terminal", "write"] == ["tty_write"]
    assert ways["tcp", "send"] == ["inet_sendmsg", "tcp_sendmsg"]


def test_what_the_files_are(session: Session) -> None:
    lanes = {lane.name: lane for lane in doors.run(session)}
    fd_types = {name: lane.fd_type for name, lane in lanes.items()}
    assert fd_types == {"file": "regular", "pipe": "fifo", "tcp": "tcp", "terminal": "tty"}
    inodes_in = {name: lane.filesystem for name, lane in lanes.items() if name != "file"}
    assert inodes_in == {"pipe": "pipefs", "tcp": "sockfs", "terminal": "devpts"}
    assert lanes["file"].filesystem in Path("/proc/filesystems").read_text().split()
    assert lanes["tcp"].link.startswith("socket:[")
    assert lanes["pipe"].link.startswith("pipe:[")
    assert lanes["terminal"].link.startswith("/dev/pts/")


def test_several_at_once_and_nothing_stays_open(session: Session) -> None:
    before = len(list(FDS.iterdir()))
    with ThreadPoolExecutor(2) as threads:
        for lanes in threads.map(lambda _: doors.run(session), range(2)):
            assert {lane.file_layer for lane in lanes} == {len(TEXT)}
    assert len(list(FDS.iterdir())) == before
    with pytest.raises(ChildProcessError):
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)


def test_without_a_writable_folder_it_says_so(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doors, "_FOLDERS", (lambda: "/proc",))
    with pytest.raises(doors.DoorsError, match="a file cannot be made or read: "):
        doors.run(session)
