# SPDX-License-Identifier: GPL-2.0-only
"""Unix sockets and sockets of systemd: rights, paths, refusals."""

import contextlib
import http.client
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdscope.exporter.http import listen
from fdscope.exporter.http.listen import BindError
from fdscope.exporter.settings.addresses import UnixAddress
from tests.exporter.process import exporter, read_until, wait_until_handled
from tests.paths import ROOT


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self.path)


def ask(path: Path | str, page: str = "/metrics") -> tuple[int, bytes]:
    with contextlib.closing(UnixConnection(str(path))) as client:
        client.request("GET", page)
        response = client.getresponse()
        return response.status, response.read()


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a short name, not writable by others."""
    with tempfile.TemporaryDirectory(prefix="fdscope-", dir="/tmp") as name:
        yield Path(name)


def bind(path: Path, mode: int = 0o660, group: int | None = None) -> socket.socket:
    (made,) = listen.bind([UnixAddress(str(path))], mode, group)
    return made


def test_the_whole_exporter_on_a_unix_socket(place: Path) -> None:
    path = place / "metrics.sock"
    with exporter(
        "", f"--web.listen-address=unix:{path}", "--web.unix-socket-mode=0600"
    ) as process:
        assert process.stderr
        told = read_until(process.stderr, "curl --unix-socket")
        assert f'msg="metrics: curl --unix-socket {path} http://localhost/metrics"\n' in told[-1]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        status, body = ask(path)
        assert (status, b"fdscope_test 1.0" in body) == (200, True)
        assert ask(path, "/-/healthy")[0] == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
def test_mode_and_group(place: Path, mode: int) -> None:
    path = place / "s"
    group = 65534 if os.geteuid() == 0 else os.getegid()
    made = bind(path, mode, group)
    status = path.lstat()
    assert (stat.S_IMODE(status.st_mode), status.st_gid) == (mode, group)
    assert [each.name for each in place.iterdir()] == ["s"]
    listen.release([made])
    assert not path.exists()


def test_it_is_never_there_with_other_rights(place: Path) -> None:
    """A watcher sees the name only with its mode, and can connect as soon as it sees it."""
    path, seen, stop = place / "s", set[int](), threading.Event()
    refused: list[OSError] = []

    def watch() -> None:
        while not stop.is_set():
            for entry in os.scandir(place):
                with contextlib.suppress(FileNotFoundError):
                    mode = stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode)
                    if entry.name == "s":
                        seen.add(mode)
                        with socket.socket(socket.AF_UNIX) as client:
                            try:
                                client.connect(str(path))
                            except FileNotFoundError:
                                pass
                            except OSError as error:
                                if path.exists():
                                    refused.append(error)
                    elif mode & 0o077:
                        seen.add(mode)

    thread = threading.Thread(target=watch)
    thread.start()
    for round_ in range(10_000):
        if seen and round_ >= 100:
            break
        sockets = [bind(path, 0o600)]
        time.sleep(0.001 if round_ > 100 else 0)  # on a busy machine the watcher needs a turn
        listen.release(sockets)
    stop.set()
    thread.join()
    assert seen == {0o600}


def test_a_stale_socket_is_replaced(place: Path) -> None:
    path = place / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    made = bind(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    listen.release([made])
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
def test_a_socket_in_use_stays(place: Path, kind: int) -> None:
    path = place / "s"
    with socket.socket(socket.AF_UNIX, kind) as holder:
        holder.bind(str(path))
        if kind != socket.SOCK_DGRAM:
            holder.listen(0)
        before = path.stat().st_ino
        with pytest.raises(BindError, match=r"unix:.*another program listens there.*ss -lxp"):
            bind(path)
        assert path.stat().st_ino == before
        assert [each.name for each in place.iterdir()] == ["s"]


def test_two_exporters_on_one_socket(place: Path) -> None:
    first = bind(place / "s")
    with pytest.raises(BindError, match="another program listens there"):
        bind(place / "s")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(place / "s"))
    listen.release([first])


@pytest.mark.parametrize("what", ["file", "link", "dangling", "folder", "fifo"])
def test_what_is_no_socket_stays(place: Path, what: str) -> None:
    path, target = place / "s", place / "target"
    target.write_text("mine")
    if what == "file":
        path.write_text("mine")
    elif what == "folder":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(target if what == "link" else place / "none")
    with pytest.raises(BindError, match="a file that is no socket is there: remove it"):
        bind(path)
    assert target.read_text() == "mine"
    assert path.lstat()
    assert sorted(each.name for each in place.iterdir()) == ["s", "target"]


def test_a_link_to_a_socket_is_no_socket(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place / "other"))
    (place / "s").symlink_to(place / "other")
    with pytest.raises(BindError, match="no socket"):
        bind(place / "s")
    assert (place / "other").exists()


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_folders_that_others_may_write_to(place: Path, mode: int) -> None:
    below = place / "open"
    below.mkdir()
    below.chmod(mode)
    for path in (below / "s", below / "deeper" / "s"):
        path.parent.mkdir(exist_ok=True)
        with pytest.raises(BindError, match=rf"others may write to {below}, .*/run/fdscope"):
            bind(path)
    below.chmod(0o1777)
    listen.release([bind(below / "s")])


def test_folders_of_others(place: Path) -> None:
    if os.geteuid():
        pytest.skip("needs root to give a folder away")
    (place / "theirs").mkdir()
    os.chown(place / "theirs", 65534, 65534)
    with pytest.raises(BindError, match="others may write to"):
        bind(place / "theirs/s")
    listen.release(listen.bind([UnixAddress(f"{place}/theirs/s")], owner=65534))


@pytest.mark.parametrize("name", ["none/s", "file/s"])
def test_folders_that_are_none(place: Path, name: str) -> None:
    (place / "file").touch()
    with pytest.raises(BindError, match=r"cannot listen on unix:.*(No such file|Not a directory)"):
        bind(place / name)


def test_another_file_in_its_place_is_not_removed_at_the_end(place: Path) -> None:
    made = bind(place / "s")
    (place / "s").unlink()
    (place / "s").write_text("mine")
    listen.release([made])
    assert (place / "s").read_text() == "mine"


def test_the_longest_path(place: Path) -> None:
    path = place / ("a" * (107 - len(str(place)) - 1))
    made = bind(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    listen.release([made])


def test_a_failure_later_leaves_nothing(place: Path) -> None:
    (place / "b").touch()
    with pytest.raises(BindError, match="no socket"):
        listen.bind([UnixAddress(str(place / "a")), UnixAddress(str(place / "b"))])
    assert [each.name for each in place.iterdir()] == ["b"]


# --- Sockets of systemd ------------------------------------------------------------------------

PASSING = """
import os, socket, sys
kind, count, pid, *command = sys.argv[1:]
os.closerange(3, 10)
made = []
for _ in range(1 if kind != "two" else 2):
    if kind == "datagram":
        made.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        made[-1].bind(("127.0.0.1", 0))
    elif kind == "deaf":
        made.append(socket.socket())
        made[-1].bind(("127.0.0.1", 0))
    elif kind == "file":
        made.append(open("/dev/null"))
    elif kind == "unix":
        made.append(socket.socket(socket.AF_UNIX))
        made[-1].bind(os.environ["PLACE"] + "/activated")
        made[-1].listen()
    else:
        made.append(socket.create_server(("127.0.0.1", 0)))
for number, each in enumerate(made):
    assert each.fileno() == 3 + number, each.fileno()
    os.set_inheritable(each.fileno(), True)
os.environ |= {"LISTEN_FDS": count, "LISTEN_FDNAMES": "x",
    "LISTEN_PID": str(os.getpid()) if pid == "own" else pid}
os.execv(command[0], command)
"""


@contextlib.contextmanager
def activated(
    place: Path, kind: str = "tcp", count: str = "1", pid: str = "own"
) -> Iterator[subprocess.Popen[str]]:
    """The exporter, started as systemd would with a socket unit."""
    command = [
        sys.executable, "-c", PASSING, kind, count, pid, sys.executable,
        "-m", "tests.exporter.fake", "tells-environment", "exporter", "--web.systemd-socket",
    ]  # fmt: skip
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        stderr=subprocess.PIPE, env={**os.environ, "PLACE": str(place)},
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(("kind", "count"), [("tcp", "1"), ("unix", "1"), ("two", "2")])
def test_sockets_that_systemd_passes(place: Path, kind: str, count: str) -> None:
    with activated(place, kind, count) as process:
        assert process.stderr
        for _ in range(int(count)):
            line = read_until(process.stderr, "metrics: ")[-1]
            if kind == "unix":
                assert ask(place / "activated")[0] == 200
            else:
                port = int(line.partition("127.0.0.1:")[2].partition("/")[0])
                client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                with contextlib.closing(client):
                    client.request("GET", "/metrics")
                    assert client.getresponse().status == 200
        environment = Path(f"/proc/{process.pid}/environ").read_bytes()
        assert b"LISTEN_FDS" in environment  # what it was started with
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "Traceback" not in errors
    assert "LISTEN" not in output.partition("environment:")[2].partition("\n")[0]
    assert kind != "unix" or (place / "activated").exists()  # it is systemd's


@pytest.mark.parametrize(
    ("kind", "count", "pid", "message"),
    [
        ("tcp", "1", "1", "systemd passes no socket to this process"),
        ("tcp", "", "own", "systemd passes no socket to this process"),
        ("tcp", "x", "own", "systemd passes no socket to this process"),
        ("tcp", "-1", "own", "systemd passes no socket to this process"),
        ("tcp", "0", "own", "passes 0 sockets, not from 1 to 64"),
        ("tcp", "65", "own", "passes 65 sockets, not from 1 to 64"),
        ("tcp", "9" * 5000, "own", "sockets, not from 1 to 64"),
        ("tcp", "2", "own", "descriptor 4 is no socket"),
        ("file", "1", "own", "descriptor 3 is no socket"),
        ("datagram", "1", "own", "socket 3 is no listening stream socket: the socket unit needs"),
        ("deaf", "1", "own", "socket 3 is no listening stream socket: the socket unit needs"),
    ],
)
def test_what_systemd_would_not_pass(
    place: Path, kind: str, count: str, pid: str, message: str
) -> None:
    with activated(place, kind, count, pid) as process:
        output, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert message in errors.splitlines()[-1]
    assert "Traceback" not in errors
    assert "attaching" not in output


# --- The start ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_while_it_starts_it_answers(place: Path, number: signal.Signals) -> None:
    path = place / "s"
    with exporter("attach-hangs", f"--web.listen-address=unix:{path}") as process:
        assert process.stderr
        read_until(process.stderr, "compiling")
        for page, expected in (
            ("/metrics", 503), ("/-/ready", 503), ("/-/healthy", 200), ("/", 503),
            ("/events", 503), ("/static/page.js", 503), ("/nothing", 503),
        ):  # fmt: skip
            status, body = ask(path, page)
            assert status == expected, page
            assert (b"fdscope is starting" in body) is (status == 503)
        with contextlib.closing(UnixConnection(str(path))) as client:
            client.request("GET", "/metrics")
            assert client.getresponse().headers["Retry-After"] == "2"
        (child,) = children(process.pid)
        status_lines = Path(f"/proc/{child}/status").read_text().splitlines()
        assert "CapEff:\t0000000000000000" in status_lines
        assert "CapPrm:\t0000000000000000" in status_lines
        begun = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)
        assert time.monotonic() - begun < 10
    assert (process.returncode, errors) == (0, "")
    assert list(place.iterdir()) == []
    assert not Path(f"/proc/{child}").exists()


def test_whoever_kills_it_while_it_starts_leaves_nothing_that_answers(place: Path) -> None:
    with exporter("attach-hangs", f"--web.listen-address=unix:{place / 's'}") as process:
        assert process.stderr
        read_until(process.stderr, "compiling")
        assert ask(place / "s")[0] == 503
        (child,) = children(process.pid)
        process.kill()
        process.wait(120)
        deadline = time.monotonic() + 10
        while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not Path(f"/proc/{child}/exe").exists()


def test_the_web_configuration_holds_from_the_first_moment(place: Path, tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text("basic_auth_users: {alice: " + "$2b$04$" + "a" * 53 + "}")
    flags = (f"--web.listen-address=unix:{place / 's'}", f"--web.config.file={file}")
    with exporter("attach-hangs", *flags) as process:
        assert process.stderr
        read_until(process.stderr, "compiling")
        assert ask(place / "s")[0] == 401
        file.write_text("[")
        assert ask(place / "s")[0] == 500


def test_a_hangup_while_it_starts_does_not_end_it(place: Path) -> None:
    with exporter("attach-hangs", f"--web.listen-address=unix:{place / 's'}") as process:
        assert process.stderr
        read_until(process.stderr, "compiling")
        process.send_signal(signal.SIGHUP)
        wait_until_handled(process.pid)
        assert ask(place / "s")[0] == 503
        assert process.poll() is None


def test_nobody_is_answered_twice_when_the_start_is_over(place: Path) -> None:
    """From 503 to 200, with nothing in between but connections that are closed."""
    path, seen = place / "s", list[int]()
    with exporter("attach-slow", f"--web.listen-address=unix:{path}") as process:
        assert process.stderr
        read_until(process.stderr, "compiling")
        while 200 not in seen:
            with contextlib.suppress(ConnectionError, http.client.HTTPException):
                seen.append(ask(path)[0])
        assert set(seen) == {503, 200}
        assert children(process.pid) == []


def children(pid: int) -> list[int]:
    return [
        int(number)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for number in (task / "children").read_text().split()
    ]
