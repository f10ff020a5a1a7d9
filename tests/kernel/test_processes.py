# SPDX-License-Identifier: GPL-2.0-only
"""The right process: names, exits, threads, errors, full maps, on the running kernel."""

import ctypes
import errno
import json
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from exporter.processes import Processes
from exporter.units import hierarchy
from probes.session import Session, attach
from probes.snapshot import Amount, slot
from probes.source import Settings
from probes.taxonomy import Account, Door, FdType, Loss
from tests.kernel.conftest import Run, in_child, key_of, modes, of_tgid

PR_SET_NAME = 15
CHURN = int(os.environ.get("FDSCOPE_TEST_CHURN", "3000"))
"""Short-lived processes of a test; slow machines ask for fewer."""


def rename(name: bytes) -> None:
    ctypes.CDLL(None).prctl(PR_SET_NAME, name)


def pipe_traffic(byte_count: int = 10) -> None:
    read_fd, write_fd = os.pipe()
    os.write(write_fd, bytes(byte_count))
    os.read(read_fd, byte_count)


def renamed_traffic(name: bytes) -> None:
    rename(name)
    pipe_traffic(10)


@pytest.mark.parametrize(
    "name", [b"plain", b'a"b\\c\nd', b"\xff\xfe\x01", "😀x".encode(), b"x" * 15]
)
def test_name_and_exit(name: bytes, session: Session) -> None:
    tgid = in_child(lambda: renamed_traffic(name))
    snapshot = session.snapshot()
    process = snapshot.processes[key_of(snapshot, tgid)]
    assert process.name == name
    assert process.exited


def test_name_is_the_one_after_exec(session: Session) -> None:
    def work() -> None:
        pipe_traffic()
        os.execv("/bin/true", ["true"])  # noqa: S606

    tgid = in_child(work)
    snapshot = session.snapshot()
    assert snapshot.processes[key_of(snapshot, tgid)].name == b"true"


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A new cgroup."""
    root = hierarchy()
    if root is None:
        pytest.skip("no cgroup hierarchy of version 2 is mounted")
    try:
        made = Path(tempfile.mkdtemp(prefix="fdscope-test-", dir=root))
    except OSError as error:
        pytest.skip(f"no cgroup can be made: {error}")
    yield made
    made.rmdir()


def test_a_move_to_another_cgroup(cgroup: Path, session: Session) -> None:
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(b"x")
        child.stdin.flush()
        child.stdout.read(1)
        snapshot = session.snapshot()
        key = key_of(snapshot, child.pid)
        assert snapshot.processes[key].cgroup_id != cgroup.stat().st_ino
        (cgroup / "cgroup.procs").write_text(str(child.pid))
        assert session.snapshot().processes[key].cgroup_id == cgroup.stat().st_ino


def test_accounts_of_the_dead_alone(session: Session) -> None:
    dead = in_child(pipe_traffic)
    pipe_traffic()
    of_dead = session.accounts(of_the_living=False)
    everybody = session.accounts()
    assert of_tgid(of_dead, dead) == of_tgid(everybody, dead) != {}
    assert of_tgid(everybody, os.getpid())
    assert not of_tgid(of_dead, os.getpid())
    assert of_dead.maps.keys() == everybody.maps.keys()
    assert of_dead.maps["counters"].entries > sum(map(len, of_dead.amounts.values()))


def test_a_thread_counts_for_its_process_whatever_its_name(session: Session) -> None:
    def work() -> None:
        rename(b"leader")

        def threaded() -> None:
            rename(b"follower")
            pipe_traffic(77)

        thread = threading.Thread(target=threaded)
        thread.start()
        thread.join()

    tgid = in_child(work)
    snapshot = session.snapshot()
    assert snapshot.processes[key_of(snapshot, tgid)].name == b"leader"
    counted = of_tgid(snapshot, tgid)
    assert counted[Account.FILE_WRITE, FdType.FIFO, Door.READ_WRITE, 0] == (1, 77)


def test_errors_by_errno(run: Run) -> None:
    def fail() -> None:
        read_fd, _write_fd = os.pipe()
        os.set_blocking(read_fd, False)
        for _ in range(3):
            with pytest.raises(BlockingIOError):
                os.read(read_fd, 1)
        with pytest.raises(OSError, match="Is a directory"):
            os.read(os.open("/", os.O_RDONLY), 1)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.read(999, 1)

    counted = run(fail)
    door = Door.READ_WRITE
    assert counted[Account.FILE_READ, FdType.FIFO, door, errno.EAGAIN] == Amount(3, 0)
    assert counted[Account.FILE_READ, FdType.DIRECTORY, door, errno.EISDIR] == Amount(1, 0)
    no_file = "there was no file to fail on"
    assert not any(key[3] == errno.EBADF for key in counted if key[0].is_file), no_file


@pytest.mark.parametrize("blocking_call", ["read", "recv"])
def test_fd_closed_and_replaced_while_another_thread_reads(blocking_call: str, run: Run) -> None:
    """The operation belongs to the file that it began with."""

    def work() -> None:
        ours, theirs = socket.socketpair()
        fd = ours.fileno()
        call = (lambda: os.read(fd, 57)) if blocking_call == "read" else (lambda: ours.recv(57))
        reader = threading.Thread(target=call)
        reader.start()
        time.sleep(0.2)
        other, _ = os.pipe()
        os.dup2(other, fd)
        theirs.send(bytes(57))
        reader.join()

    door = Door.READ_WRITE if blocking_call == "read" else Door.SOCKET_CALL
    counted = run(work)
    assert counted[Account.FILE_READ, FdType.UNIX_STREAM, door, 0] == (1, 57)


def test_thousands_of_short_lived_processes_lose_nothing(session: Session) -> None:
    """Sums over all owners hold while the dead leave the maps."""
    names = [f"{letter}-{os.getpid()}" for letter in "ab"]  # of this run alone
    processes = Processes(100, lambda _: "", lambda _: True, linger_seconds=0.0)
    now = 0.0
    for number in range(CHURN):
        in_child(partial(renamed_traffic, names[number % 2].encode()))
        if number % 250 == 249:
            now += 1
            session.forget(processes.update(session.snapshot(), now))
    session.forget(processes.update(session.snapshot(), now + 1))
    written = dict.fromkeys(names, 0)
    for owner, amounts in processes.totals().items():
        for code, amount in amounts.items():
            what = slot(code)
            if owner.process in written and what[:2] == (Account.FILE_WRITE, FdType.FIFO):
                assert owner.pid == ""
                written[owner.process] += amount.bytes
    assert written == dict.fromkeys(written, CHURN // 2 * 10)
    assert session.snapshot().losses[Loss.COUNTERS_FULL] == 0


def loaded_programs() -> dict[int, str]:
    """Ids and names of all BPF programs in the kernel."""
    listed = subprocess.run(
        ["bpftool", "-j", "prog", "list"], check=True, capture_output=True, text=True
    )
    return {program["id"]: program.get("name", "") for program in json.loads(listed.stdout)}


def kprobe_events() -> str:
    events = Path("/sys/kernel/tracing/kprobe_events")
    return events.read_text() if events.exists() else ""


def test_a_second_attach_leaves_out_whom_it_excludes_and_nothing_behind() -> None:
    """Programs and kprobe events are gone; those of another session are not touched."""
    events = kprobe_events()
    second = attach(modes(), Settings(exclude_tgid=os.getpid()))
    try:
        pipe_traffic()
        other = in_child(pipe_traffic)
        counted = second.snapshot()
        ours = set(second._statistics("prog_id").values())
        assert len(ours) == len(second.report["programs"])
        assert ours <= set(loaded_programs())
    finally:
        second.close()
    assert not of_tgid(counted, os.getpid())
    assert of_tgid(counted, other)
    assert not ours & set(loaded_programs())
    assert kprobe_events() == events
