# SPDX-License-Identifier: GPL-2.0-only
"""A watched process as the page gets it, over HTTP, on real probes."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fdscope.exporter.page import watches
from fdscope.exporter.page.process import MOST_OPEN
from fdscope.exporter.spotlight.lens import recorder_of
from fdscope.probes.read.session import Session
from fdscope.probes.schema.taxonomy import Account
from tests.exporter.serving import FakeCollector, Running, running, wait_for
from tests.kernel.conftest import key_of, of_tgid
from tests.kernel.spotlight.watching import watched

DETAILS = {"web.details": True}
HOSTILE = "<b>x</b>\n\u202e\x1b[31m"


@pytest.fixture
def web(session: Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(watches, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(watches, "PAUSE_FACTOR", 0.0)
    recorder = recorder_of(session)
    assert recorder
    with running(FakeCollector(), changes=DETAILS, recorder=recorder) as started:
        yield started
    assert not watched(session).processes


def ask(web: Running, pid: int) -> tuple[int, Any]:
    status, _, body = web.request(f"/watch?pid={pid}", "POST", X_Fdscope="watch")
    return status, json.loads(body) if status == 200 else body.decode()


def look(web: Running, pid: int) -> Any:
    status, document = ask(web, pid)
    assert status == 200, document
    return document


@contextmanager
def obeying(code: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that runs ``code`` for each line of its standard input, and answers each."""
    program = f"import os, socket, sys\nfor line in sys.stdin:\n    exec(line)\n    print()\n{code}"
    with subprocess.Popen(
        [sys.executable, "-u", "-c", program],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            do(process, "pass")  # the interpreter has started: it opens and closes files then
            yield process
        finally:
            process.kill()


def do(process: "subprocess.Popen[str]", line: str) -> None:
    assert process.stdin
    assert process.stdout
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    assert process.stdout.readline() == "\n"


def test_the_figures_are_those_of_the_accounts(
    web: Running, session: Session, tmp_path: Path
) -> None:
    with obeying("") as process:
        do(process, f"f = open({str(tmp_path / 'log')!r}, 'wb', 0); a, b = socket.socketpair()")
        before = of_tgid(session.peek(), process.pid)
        assert look(web, process.pid)["sums"]["written"] == 0
        do(process, "f.write(b'x' * 12345); a.send(b'y' * 678); b.recv(100); b.recv(1000)")
        shown = look(web, process.pid)
        after = of_tgid(session.peek(), process.pid)
        for account, operations, size in (
            (Account.FILE_READ, "reads", "read"), (Account.FILE_WRITE, "writes", "written"),
        ):  # fmt: skip
            totals = [
                (sum(a.operations for k, a in of.items() if k[0] is account and not k[3]),
                 sum(a.bytes for k, a in of.items() if k[0] is account and not k[3]))
                for of in (before, after)
            ]  # fmt: skip
            grown = totals[1][0] - totals[0][0], totals[1][1] - totals[0][1]
            assert (shown["sums"][operations], shown["sums"][size]) == grown
        (log,) = [file for file in shown["files"] if file["name"] == str(tmp_path / "log")]
        (done,) = log["operations"]
        assert (done["door"], done["bytes"], log["open"]) == ("read_write", 12345, True)
        sockets = [file for file in shown["files"] if file["fd_type"] == "unix_stream"]
        assert sorted(sum(d["bytes"] for d in file["operations"]) for file in sockets) == [678, 678]
        assert key_of(session.peek(), process.pid).tgid == shown["pid"]


def test_the_life_of_a_file(web: Running, tmp_path: Path) -> None:
    path = str(tmp_path / "born")
    with obeying("") as process:
        assert look(web, process.pid)["closed_files"] == 0
        do(process, f"f = open({path!r}, 'wb', 0)")
        shown = look(web, process.pid)
        (born,) = [file for file in shown["files"] if file["name"] == path]
        assert (born["open"], born["opened_by"]) == (True, "open")
        assert 0 < born["age_seconds"] < shown["watched_seconds"]
        do(process, "f.write(b'1'); os.dup2(f.fileno(), 77)")
        (used,) = [file for file in look(web, process.pid)["files"] if file["name"] == path]
        assert used["id"] == born["id"]
        assert 77 in used["fds"]
        do(process, "f.close(); os.close(77)")
        shown = look(web, process.pid)
        (over,) = [file for file in shown["files"] if file["name"] == path]
        assert (over["open"], over["closed_by"]) == (False, "close")
        assert over["closed_seconds_ago"] < over["age_seconds"]
    wait_for(lambda: look(web, process.pid)["ended"], 10)


def test_both_ends_are_watched_and_a_file_that_is_passed_is_shown(web: Running) -> None:
    """From the moment that somebody looks at one of them."""
    mine, theirs = socket.socketpair()
    receive = f"s = socket.socket(fileno={theirs.fileno()})"
    with (
        mine,
        theirs,
        subprocess.Popen(
            [sys.executable, "-c",
             f"import socket; {receive}; s.recv(1)\n"
             "while True: kept = socket.recv_fds(s, 9, 1); s.send(b'.')"],
            pass_fds=[theirs.fileno()],
        ) as process,
    ):  # fmt: skip
        try:
            mine.send(b"x")
            shown = look(web, os.getpid())
            assert process.pid in [each["pid"] for each in shown["neighbours"]]
            with open("/etc/hostname", "rb") as file:  # noqa: PTH123 - its descriptor is sent
                socket.send_fds(mine, [b"!"], [file.fileno()])
                assert mine.recv(1) == b"."
                shown = look(web, os.getpid())
            (passed,) = [each for each in shown["passed"] if each["pid"] == process.pid]
            (file_,) = [each for each in shown["files"] if each.get("id") == passed["id"]]
            assert (file_["name"], passed["name"]) == ("/etc/hostname", "/etc/hostname")
        finally:
            process.kill()


def test_hostile_names_of_4_kilobytes_are_shown_as_text(web: Running, tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(15):
        deep /= (HOSTILE.replace("/", "|") + "d" * 200)[:220]
        deep.mkdir()
    with obeying("") as process:
        do(process, f"os.chdir({str(deep.parent)!r}); f = open({deep.name!r} + '/end', 'wb')")
        names = [file["name"] or "" for file in look(web, process.pid)["files"]]
    (name,) = [each for each in names if each.endswith("/end")]
    assert len(name) > 3000
    assert name.isprintable()
    assert name.count(r"<b>x<|b>\x0a\u202e\x1b[31m") == 15


def test_a_watch_ends_when_nobody_asks(
    web: Running, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    with obeying("") as process:
        look(web, process.pid)
        time.sleep(1.2)  # the poller has looked at it
        assert watched(session).processes
        monkeypatch.setattr(watches, "KEEP_SECONDS", 0.2)
        wait_for(lambda: not watched(session).processes, 10)
        assert web.server.watches.pids == []
        monkeypatch.undo()
        assert look(web, process.pid)["watched_seconds"] < 2


def test_watches_are_bounded_and_those_who_look_at_one_share_it(
    web: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "MOST_WATCHES", 1)
    with obeying("") as one, obeying("") as other:
        look(web, one.pid)
        look(web, one.pid)
        status, why = ask(web, other.pid)
        assert (status, f"pid {one.pid}" in why) == (503, True)
    assert ask(web, 2**31 - 5)[0] == 503


@pytest.mark.parametrize("pid", ["0", "-1", "x", "", "1" * 11, "1&x=2;"])
def test_what_is_no_process(web: Running, pid: str) -> None:
    status, _, body = web.request(f"/watch?pid={pid}", "POST", X_Fdscope="watch")
    assert status == (200 if pid.startswith("1&") else 400), body


def test_a_process_that_is_not_there(web: Running, session: Session) -> None:
    gone = 2**22 - 1
    assert ask(web, gone) == (404, f"{gone}: there is no process with this pid\n")
    assert not watched(session).processes


def test_many_files_are_summed_not_shown(web: Running, tmp_path: Path) -> None:
    with obeying("") as process:
        look(web, process.pid)
        do(
            process,
            f"k = [open({str(tmp_path)!r} + f'/{{n}}', 'wb', 0) for n in range({MOST_OPEN + 60})]",
        )
        do(process, "[f.write(b'abc') for f in k]")
        shown = look(web, process.pid)
        assert len([file for file in shown["files"] if file["open"]]) == MOST_OPEN
        assert shown["not_shown"]["open"] == shown["open_files"] - MOST_OPEN
        assert shown["sums"]["written"] >= 3 * (MOST_OPEN + 60)


def talks(web: Running, *pids: int) -> Any:
    asked = "&".join(f"pid={pid}" for pid in pids)
    status, _, body = web.request(f"/talks?{asked}", "POST", X_Fdscope="talks")
    assert status == 200, body
    return json.loads(body)


def between(document: Any, one: int, other: int) -> list[Any]:
    """What joins two processes."""
    return [
        talk
        for talk in document["talks"]
        if {one, other} == {p["pid"] for end in ("one", "other") for p in talk[end]["processes"]}
    ]


SENT = 100_000


def test_who_talks_to_whom_both_ends_agree_with_each_other_and_with_the_kernel(
    web: Running,
) -> None:
    """An older pipe, unix socket and TCP connection, and a younger TCP connection."""
    reader, writer = os.pipe()
    mine, theirs = socket.socketpair()
    connect = "s = socket.create_connection(('127.0.0.1', int(port)))"
    everything = (
        "def all_of(read, left):\n"
        "    while left:\n        left -= len(read(min(left, 65536)))\n"
    )  # fmt: skip
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        subprocess.Popen(
            [sys.executable, "-u", "-c",
             f"import os, socket, sys\n{everything}port = {listener.getsockname()[1]}\n{connect}\n"
             f"u = socket.socket(fileno={theirs.fileno()})\nr = {reader}\n"
             "for line in sys.stdin:\n    exec(line); print()"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            pass_fds=[reader, theirs.fileno()],
        ) as process,
    ):  # fmt: skip
        os.close(reader)
        theirs.close()
        me = os.getpid()
        try:
            accepted, _ = listener.accept()
            accepted.sendall(b"before")
            do(process, "s.recv(6)")
            first = talks(web, process.pid)
            assert first["watched"] >= 2
            do(process, "s2 = socket.create_connection(('127.0.0.1', port))")
            younger, _ = listener.accept()
            assert process.stdin
            for way, left in (("r", 4), ("u", 3), ("s", 2), ("s2", 1)):
                read = f"lambda n: os.read({way}, n)" if way == "r" else f"{way}.recv"
                process.stdin.write(f"all_of({read}, {left * SENT})\n")
                process.stdin.flush()
                to = {"u": mine, "s": accepted, "s2": younger}.get(way)
                left_over = memoryview(b"x" * left * SENT)
                while left_over:
                    sent = to.send(left_over) if to else os.write(writer, left_over)
                    left_over = left_over[sent:]
                assert process.stdout
                process.stdout.readline()
            do(process, "s2.sendall(b'back')")
            assert younger.recv(9) == b"back"
            talks(web, process.pid)  # the kernel's count is asked before a reading and after it
            found = between(talks(web, process.pid), me, process.pid)
        finally:
            process.kill()
    ways = {
        (talk["fd_type"], way["sent"]): (talk, way)
        for talk in found
        for way in talk["ways"]
        if way["sent"]
    }
    expected = [
        *(("fifo", 4 * SENT), ("unix_stream", 3 * SENT)),
        *(("tcp", 2 * SENT), ("tcp", SENT), ("tcp", 4)),
    ]
    for fd_type, size in expected:
        talk, way = ways[fd_type, size]
        assert talk["compared"], talk
        assert (way["received"], way["residual"]) == (size, 0)
        if fd_type == "tcp":
            assert way["kernel_sent"] == way["kernel_received"] == [size, size]
    os.close(writer)
    for each in (mine, accepted, younger):
        each.close()


def test_an_end_that_somebody_else_holds_too_is_not_compared(
    web: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "MOST_TALKERS", 1)  # no room for the other end
    reader, writer = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", f"import os\nwhile os.read({reader}, 9): pass"], pass_fds=[reader]
    ) as process:
        os.close(reader)
        talks(web, os.getpid())
        os.write(writer, b"12345")
        (talk,) = between(talks(web, os.getpid()), os.getpid(), process.pid)
        os.close(writer)
    assert (talk["one"]["counted"], talk["other"]["counted"]) == (True, False)
    (way,) = talk["ways"]
    assert (way["sent"], way["received"], way["residual"]) == (5, None, None)
    assert talk["why_not"] == "not every process that holds an end is watched"


@pytest.mark.parametrize("asked", ["", "pid=x", "&".join(f"pid={n}" for n in range(1, 18))])
def test_what_is_no_set_of_processes(web: Running, asked: str) -> None:
    assert web.request(f"/talks?{asked}", "POST", X_Fdscope="talks")[0] == 400
