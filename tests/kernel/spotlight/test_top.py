# SPDX-License-Identifier: GPL-2.0-only
"""``fdscope top`` through a control socket: rates of known work, and a screen in a real terminal.

The terminal is a pseudoterminal of the kernel; pyte shows what stands on its screen.
"""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from fdscope.exporter.spotlight.host import Host
from fdscope.probes.read.session import Session
from tests.kernel.spotlight.test_run import FDSCOPE, fdscope, nothing_is_watched
from tests.kernel.spotlight.watching import watched

BUSY = """
import os, socket, sys, time
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
ours, theirs = socket.socketpair()
ours.setblocking(False)
print("", flush=True)
began = time.monotonic()
for n in range(10**9):
    os.pwrite(fd, bytes(1000), 0)
    theirs.send(bytes(10)); ours.recv(10)
    try:
        ours.recv(10)
    except BlockingIOError:
        pass
    time.sleep(max(began + n * 0.01 - time.monotonic(), 0))
"""


@contextmanager
def busy(path: Path) -> Iterator[int]:
    """A process that does the same 100 times a second.

    It writes 1000 bytes to a file and 10 to a socket, reads those, and is refused a read.
    """
    with subprocess.Popen(
        [sys.executable, "-c", BUSY, str(path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


def test_rates_of_known_work(control: Path, session: Session, tmp_path: Path) -> None:
    with busy(tmp_path / "log") as pid:
        done = fdscope("top", f"--control={control}", "--json", "--seconds=2")
        table = fdscope("top", f"--control={control}", "--once", "--seconds=0.3", "--sort=errors")
        held = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    report = json.loads(done.stdout)
    (mine,) = (each for each in report["processes"] if each["pid"] == pid)
    assert report["seconds"] >= 2
    assert mine["open_fds"] == held
    assert {t: of["open_fds"] for t, of in mine["fd_types"].items() if of["open_fds"]} == {
        "fifo": 1,
        "regular": mine["fd_types"]["regular"]["open_fds"],
        "unix_stream": 2,
        **{t: of["open_fds"] for t, of in mine["fd_types"].items() if t in ("character", "tty")},
    }
    # All of it is of the same loop, whose speed the host decides.
    loops = mine["fd_types"]["regular"]["written_bytes_per_second"] / 1000
    assert 1 < loops < 150
    unix = mine["fd_types"]["unix_stream"]
    one = 1 / report["seconds"]  # a loop may have begun, or not ended
    assert unix["written_bytes_per_second"] == pytest.approx(10 * loops, abs=10 * one + 0.01)
    assert unix["read_bytes_per_second"] == pytest.approx(10 * loops, abs=10 * one + 0.01)
    assert unix["errors_per_second"] == pytest.approx(loops, abs=one + 0.01)
    assert unix["operations_per_second"] == pytest.approx(3 * loops, abs=3 * one + 0.01)
    (line,) = (line for line in table.stdout.splitlines() if line.split()[0] == str(pid))
    assert line.endswith("unix_stream 100%")  # of the errors
    nothing_is_watched(session)


def test_processes_that_end_meanwhile_are_there(session: Session) -> None:
    """Also with its own probes, where nobody else removes them from the maps."""
    shared, alone = Host(session, True), Host(session, False)
    child = subprocess.Popen([sys.executable, "-c", "print('x' * 99)"], stdout=subprocess.DEVNULL)
    child.wait()
    for host in (shared, alone):
        (ended,) = (each for each in host.read()["processes"] if each["pid"] == child.pid)
        assert ended["ended"]
        assert ended["fds"] is None
        assert ended["moved"]["character"]["written"] == 100
    deadline = time.monotonic() + 20
    while any(each["pid"] == child.pid for each in alone.read()["processes"]):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert not [key for key in session.accounts().processes if key.tgid == child.pid]


def test_wrong_usage(control: Path) -> None:
    for arguments, why in (
        ((), "this is no terminal: add --once for a table, or --json for programs"),
        (("--sort=x",), "argument --sort: invalid choice: 'x'"),
        (("--seconds=0",), "argument --seconds: '0' is not a time above 0"),
        (("--once", "extra"), "unrecognized arguments: extra"),
    ):
        done = fdscope("top", f"--control={control}", *arguments, stdin=subprocess.DEVNULL)
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"fdscope top: {why}")
    done = fdscope("top", "--control=/no/such.sock", "--once")
    assert (done.returncode, done.stderr) == (
        1,
        "fdscope top: no exporter listens on /no/such.sock\n",
    )


class Terminal:
    """A pseudoterminal with the program in a session of its own."""

    def __init__(self, *arguments: str, size: tuple[int, int], environment: str):
        self.pid, self.fd = pty.fork()
        if not self.pid:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", *size, 0, 0))
            os.execve(  # noqa: S606 - fdscope itself
                sys.executable,
                [*FDSCOPE, "top", *arguments],
                os.environ | {"TERM": "xterm", "COLORFGBG": ""} | dict([environment.split("=")]),
            )
        pyte = pytest.importorskip("pyte", reason="without pyte nobody knows what a screen shows")
        self._screen = pyte.Screen(size[1], size[0])
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""
        self.status: int | None = None

    def resize(self, rows: int, columns: int) -> None:
        self._screen.resize(rows, columns)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def press(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def until(self, *words: str) -> str:
        """What the screen shows, when it has all these words."""
        self._wait(lambda: all(word in self.text for word in words), words)
        return self.text

    @property
    def text(self) -> str:
        """The screen."""
        return "\n".join(self._screen.display)

    def ended(self) -> int:
        """Its exit status, as of a shell."""
        self._wait(lambda: self.status is not None, "its end")
        assert self.status is not None
        return os.waitstatus_to_exitcode(self.status)

    def _wait(self, condition: Callable[[], bool], what: object) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, (what, self.text)
            with suppress(OSError):  # EIO: the other end is closed
                if self.fd >= 0 and select.select([self.fd], [], [], 0.05)[0]:
                    new = os.read(self.fd, 65536)
                    self.raw += new
                    self._stream.feed(new)
            if self.status is None:
                found, status = os.waitpid(self.pid, os.WNOHANG)
                self.status = status if found else None

    def hang_up(self) -> None:
        """Close our end: the kernel sends SIGHUP to the session."""
        os.close(self.fd)
        self.fd = -1

    def close(self) -> None:
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        if self.fd >= 0:
            os.close(self.fd)


@contextmanager
def terminal(*arguments: str, environment: str = "LINES=") -> Iterator[Terminal]:
    pytest.importorskip("urwid", reason="without urwid there is no screen")
    made = Terminal(*arguments, size=(24, 80), environment=environment)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.native
def test_the_screen(control: Path, session: Session, tmp_path: Path) -> None:
    with busy(tmp_path / "log") as pid, terminal(f"--control={control}", "--seconds=0.5") as top:
        top.until("fdscope top", "by bytes", "READ/s", "q quit")
        assert not watched(session).processes
        top.press(f"/{pid}\r")
        top.until(f"filter: {pid}", "python")
        top.press("\r")
        top.until(f"(pid {pid})", f"{tmp_path}/log"[-20:], "socket:[")
        assert [key.tgid for key in watched(session).processes] == [pid]
        top.press("/log\r")
        top.until("filter: log")
        top.press("\r")
        top.until("DOOR", "read_write", "before it was watched")
        top.press("\x7f")
        top.until("open files", "filter: log")
        assert watched(session).processes
        top.press("\x7f\x7f")  # the filter, then the process
        top.until("fdscope top")
        nothing_is_watched(session)
        top.resize(20, 60)
        top.until("This terminal has 60 columns and 20 rows.")
        top.resize(30, 100)
        top.until("READ/s")
        top.press("q")
        assert top.ended() == 0
        # The screen of before is back, and the cursor is shown.
        assert b"\x1b[?1049l" in top.raw
        assert b"\x1b[?25h" in top.raw
    nothing_is_watched(session)


@pytest.mark.native
@pytest.mark.parametrize(
    ("how", "status"),
    [("q", 0), ("\x03", 0), ("SIGTERM", 0), ("SIGKILL", -9), ("hang up", 0), ("nohup", 0)],
)
def test_nothing_stays_watched(
    control: Path, session: Session, tmp_path: Path, how: str, status: int
) -> None:
    with busy(tmp_path / "log") as pid, terminal(f"--control={control}", "--seconds=0.2") as top:
        top.until("READ/s")
        top.press(f"/{pid}\r")
        top.until(f"filter: {pid}", "python")
        top.press("\r")
        top.until(f"(pid {pid})", "unix_stream")
        assert watched(session).processes
        if how.startswith("SIG"):
            os.kill(top.pid, getattr(signal, how))
        elif how in ("hang up", "nohup"):
            top.hang_up()
        else:
            top.press(how)
        assert top.ended() == status
        nothing_is_watched(session)


@pytest.mark.native
def test_colours(control: Path) -> None:
    """None with NO_COLOR; others for a light background."""
    colours = re.compile(rb"\x1b\[[0-9;]*\b(?:3[0-7]|9[0-7]|4[0-7])\b")
    seen = {}
    for name, variable in (
        ("dark", "COLORFGBG=15;0"),
        ("light", "COLORFGBG=0;15"),
        ("none", "NO_COLOR=1"),
    ):
        with terminal(f"--control={control}", environment=variable) as top:
            top.until("READ/s", "q quit", "regular")
            seen[name] = {*colours.findall(top.raw)}
            top.press("q")
            assert top.ended() == 0
    assert seen["none"] == set()
    assert seen["dark"] != seen["light"]
    assert seen["dark"]
    assert seen["light"]
