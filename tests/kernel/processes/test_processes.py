# SPDX-License-Identifier: GPL-2.0-only
"""The right process: names, exits, threads, errors, full maps, on the running kernel."""

import ctypes
import errno
import json
import os
import signal
import socket
import subprocess
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from fdscope.exporter.accounts.processes import Processes
from fdscope.probes.attach.settings import Settings
from fdscope.probes.read.session import Session, attach
from fdscope.probes.schema.slots import slot
from fdscope.probes.schema.snapshot import Amount
from fdscope.probes.schema.taxonomy import Account, Birth, Cause, Door, FdType, Loss
from tests.kernel.conftest import Run, end_child, in_child, key_of, modes, of_tgid, start_child
from tests.kernel.processes.living import alive, wait_until_in, without_leader

PR_SET_NAME = 15
CHURN = int(os.environ.get("FDSCOPE_TEST_CHURN", "3000"))
"""Number of short-lived processes of a test; fewer on slow machines."""


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


def test_an_exec_by_another_thread_than_the_leader(session: Session) -> None:
    """It takes over the leader's number and start: the process stays the same."""

    def work() -> None:
        pipe_traffic(10)
        other = threading.Thread(target=os.execv, args=("/bin/true", ["true"]))
        other.start()
        other.join()

    tgid = in_child(work)
    snapshot = session.snapshot()
    assert len([key for key in snapshot.amounts if key.tgid == tgid]) == 1
    process = snapshot.processes[key_of(snapshot, tgid)]
    assert process.name == b"true"
    assert process.exited
    counted = of_tgid(snapshot, tgid)
    assert counted[Account.FILE_WRITE, FdType.FIFO, Door.READ_WRITE, 0] == (1, 10)


def name_thread(tid: int, name: bytes) -> None:
    """As pthread_setname_np() does for another thread of the process."""
    Path(f"/proc/self/task/{tid}/comm").write_bytes(name)


@pytest.mark.parametrize("leader_does", [True, False])
@pytest.mark.parametrize("of_leader", [True, False])
def test_only_the_leaders_name_is_the_processes(
    leader_does: bool, of_leader: bool, session: Session
) -> None:
    """Whichever thread sets the name of which."""

    def work() -> None:
        rename(b"leader")
        pipe_traffic()
        done = threading.Event()
        tids: list[int] = []

        def worker() -> None:
            tids.append(threading.get_native_id())
            if not leader_does:
                name_thread(os.getpid() if of_leader else tids[0], b"named")
            done.wait()

        thread = threading.Thread(target=worker)
        thread.start()
        while not tids:
            time.sleep(0.01)
        if leader_does:
            name_thread(os.getpid() if of_leader else tids[0], b"named")
        done.set()
        thread.join()
        os.kill(os.getpid(), signal.SIGSTOP)

    tgid = start_child(work)
    os.waitpid(tgid, os.WUNTRACED)
    snapshot = session.snapshot()
    name = snapshot.processes[key_of(snapshot, tgid)].name
    assert name + b"\n" == Path(f"/proc/{tgid}/comm").read_bytes()
    assert name == (b"named" if of_leader else b"leader")
    os.kill(tgid, signal.SIGCONT)
    end_child(tgid)


def test_a_kernel_thread_has_a_name_of_its_own(session: Session) -> None:
    """Before Linux 6.4 its creator names it; here one that asks for pressure events."""
    pressure = Path("/proc/pressure/cpu")
    if not pressure.exists():
        pytest.skip("this kernel has no pressure stall information")

    def work() -> None:
        rename(b"creator")
        pipe_traffic()
        fd = os.open(pressure, os.O_RDWR)
        os.write(fd, b"some 150000 2000000\0")
        os.kill(os.getpid(), signal.SIGSTOP)

    tgid = start_child(work)
    os.waitpid(tgid, os.WUNTRACED)
    snapshot = session.snapshot()
    assert snapshot.processes[key_of(snapshot, tgid)].name == b"creator"
    os.kill(tgid, signal.SIGCONT)
    end_child(tgid)


def test_a_process_goes_on_without_its_leader(session: Session) -> None:
    """Its key and name stay those of the leader; it has ended when its last thread has."""

    def work() -> None:
        rename(b"leader")
        without_leader(lambda: pipe_traffic(77))

    with alive(lambda: pipe_traffic(7), with_leader=False) as living:
        snapshot = session.snapshot()
        assert not snapshot.processes[key_of(snapshot, living)].exited
    tgid = in_child(work)
    snapshot = session.snapshot()
    process = snapshot.processes[key_of(snapshot, tgid)]
    assert process.name == b"leader"
    assert process.exited
    counted = of_tgid(snapshot, tgid)
    assert counted[Account.FILE_WRITE, FdType.FIFO, Door.READ_WRITE, 0] == (1, 77)
    opened = counted[Account.FD_OPENED, FdType.FIFO, Birth.PIPE, 0].operations
    assert opened == 2
    assert counted[Account.FD_CLOSED, FdType.FIFO, Cause.EXIT, 0].operations >= opened


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
        assert reader.native_id
        wait_until_in(reader.native_id, "read", "recvfrom")
        other, _ = os.pipe()
        os.dup2(other, fd)
        theirs.send(bytes(57))
        reader.join()

    door = Door.READ_WRITE if blocking_call == "read" else Door.SOCKET_CALL
    counted = run(work)
    assert counted[Account.FILE_READ, FdType.UNIX_STREAM, door, 0] == (1, 57)


def test_thousands_of_short_lived_processes_lose_nothing(session: Session) -> None:
    """Sums over all owners hold while ended processes are removed from the maps."""
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
        ours = set(second.statistics("prog_id").values())
        assert len(ours) == len(second.report.programs)
        assert ours <= set(loaded_programs())
    finally:
        second.close()
    assert not of_tgid(counted, os.getpid())
    assert of_tgid(counted, other)
    assert not ours & set(loaded_programs())
    assert kprobe_events() == events
