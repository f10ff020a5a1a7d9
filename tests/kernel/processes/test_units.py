# SPDX-License-Identifier: GPL-2.0-only
"""Cgroups of real processes and their names, on the running kernel."""

import ctypes
import os
import signal
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from fdscope.exporter.accounts.units import NO_UNIT, UNKNOWN_UNIT, Units
from fdscope.probes.read.session import Session
from fdscope.probes.schema.snapshot import Snapshot
from tests.kernel.conftest import in_child, key_of
from tests.kernel.processes.living import alive
from tests.ours import hierarchy

CONTAINER = "0123456789ab" + "c" * 52
_CLONE3 = 435
_CLONE_INTO_CGROUP = 1 << 33


def remove_tree(root: Path) -> None:
    """Remove a cgroup and all in it, however deep: a path may not be as long as that."""
    names: list[bytes] = []
    with inside(root):
        while True:
            if inner := [entry.name for entry in os.scandir(b".") if entry.is_dir()]:
                names.append(inner[0])
                os.chdir(inner[0])
            elif names:
                os.chdir("..")
                os.rmdir(names.pop())  # noqa: PTH106 # bytes
            else:
                break
    remove(root)


@pytest.fixture
def base() -> Iterator[Path]:
    """A new cgroup; what is made in it is removed."""
    root = hierarchy()
    if root is None:
        pytest.skip("no cgroup hierarchy of version 2 is mounted")
    try:
        made = Path(tempfile.mkdtemp(prefix="fdscope-test-", dir=root))
    except OSError as error:
        pytest.skip(f"no cgroup can be made: {error}")
    yield made
    remove_tree(made)


def enter(cgroup: Path | str, tid: int = 0, file: str = "cgroup.procs") -> None:
    """Put a process, or with ``cgroup.threads`` a thread, into a cgroup: the current one is 0."""
    fd = os.open(f"{cgroup}/{file}", os.O_WRONLY)
    os.write(fd, str(tid).encode())
    os.close(fd)


def some_traffic() -> None:
    read_fd, write_fd = os.pipe()
    os.write(write_fd, b"x")
    os.read(read_fd, 1)


def unit_of(session: Session, pid: int) -> str:
    """The exporter's unit of a process that is new to it."""
    return unit_in(Units(session.cgroups), session.snapshot(), pid)


def unit_in(units: Units, snapshot: Snapshot, pid: int) -> str:
    key = key_of(snapshot, pid)
    units.meet({key: snapshot.processes[key]})
    return units.unit(snapshot.processes[key].cgroup_id)


def enter_and_work(cgroup: Path | str) -> None:
    enter(cgroup)
    some_traffic()


@contextmanager
def living_in(cgroup: Path | str) -> Iterator[int]:
    """A process that has worked in a cgroup and waits there; its pid."""
    with alive(partial(enter_and_work, cgroup)) as pid:
        yield pid


@pytest.mark.parametrize(
    ("names", "unit"),
    [
        ((b"a.service",), "a.service"),
        ((b"a.slice", b"b.scope", b"c"), "b.scope"),
        ((b"docker-%s.scope" % CONTAINER.encode(), b"init.scope"), "0123456789ab"),
        ((b"a\xff\x1b\xe2\x80\xae.service",), "a\\xff\\x1b\\u202e.service"),
        ((b"n" * 247 + b".service",), "n" * 247 + ".service"),
        ((b"n" * 250 + b"/", b"o" * 250) + (b"p" * 250,) * 20 + (b"a.service",), "a.service"),
        ((b"plain", b"plain"), NO_UNIT),
    ],
)
@pytest.mark.parametrize("lives", [True, False])
def test_names(
    names: tuple[bytes, ...], unit: str, lives: bool, base: Path, session: Session
) -> None:
    where = os.fsencode(base)
    with inside(base):
        for name in names:
            os.mkdir(name.rstrip(b"/"))  # noqa: PTH102
            os.chdir(name.rstrip(b"/"))
        where = os.fsencode(f"/proc/{os.getpid()}/cwd")
        if lives:
            with living_in(os.fsdecode(where)) as pid:
                assert unit_of(session, pid) == unit
        else:
            pid = in_child(partial(enter_and_work, os.fsdecode(where)))
            assert unit_of(session, pid) == unit


@contextmanager
def inside(directory: Path) -> Iterator[None]:
    """Set the working directory during the block."""
    before = os.open(".", os.O_RDONLY)
    os.chdir(directory)
    try:
        yield
    finally:
        os.fchdir(before)
        os.close(before)


def test_the_root_is_no_unit(session: Session) -> None:
    root = hierarchy()
    if root is None:
        pytest.skip("no cgroup hierarchy of version 2 is mounted")
    with living_in(root) as pid:
        assert unit_of(session, pid) == NO_UNIT


@pytest.mark.parametrize("life", [0.0, 0.05])
def test_short_lived_containers_keep_their_bytes(life: float, base: Path, session: Session) -> None:
    """Each is gone, with its cgroup, before the next reading."""
    units, pids = Units(session.cgroups), {}
    for number in range(20):
        container = f"{number:012x}" + "d" * 52
        cgroup = base / f"docker-{container}.scope"
        cgroup.mkdir()

        def work(cgroup: Path = cgroup) -> None:
            enter_and_work(cgroup)
            time.sleep(life)

        pids[in_child(work)] = container[:12]
        remove(cgroup)
    snapshot = session.snapshot()
    assert {pid: unit_in(units, snapshot, pid) for pid in pids} == pids


def remove(cgroup: Path) -> None:
    """Remove a cgroup once the kernel has released its last process."""
    for _ in range(500):
        with suppress(OSError):
            cgroup.rmdir()
            return
        time.sleep(0.01)
    cgroup.rmdir()


def test_started_in_its_cgroup_without_a_move(base: Path, session: Session) -> None:
    """As systemd does, with clone3: there is no event of it."""
    cgroup = base / "cloned.service"
    cgroup.mkdir()
    fd = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
    size = 88
    arguments = struct.pack("<11Q", _CLONE_INTO_CGROUP, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, fd)
    pid = int(ctypes.PyDLL(None).syscall(_CLONE3, ctypes.c_char_p(arguments), size))
    if pid == 0:
        some_traffic()
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(fd)
    remove(cgroup)
    assert unit_of(session, pid) == "cloned.service"


def test_a_move_to_another_cgroup(base: Path, session: Session) -> None:
    first, second = base / "first.service", base / "second.service"
    first.mkdir()
    second.mkdir()
    units = Units(session.cgroups)
    with living_in(first) as pid:
        assert unit_in(units, session.snapshot(), pid) == "first.service"
        enter(second, pid)
        assert unit_in(units, session.snapshot(), pid) == "second.service"


def test_a_service_that_is_started_again(base: Path, session: Session) -> None:
    """The new cgroup has the same name; the unit of the old process does not change."""
    cgroup, units = base / "again.service", Units(session.cgroups)
    cgroup.mkdir()
    with living_in(cgroup) as old:
        assert unit_in(units, session.snapshot(), old) == "again.service"
    remove(cgroup)
    cgroup.mkdir()
    with living_in(cgroup) as new:
        snapshot = session.snapshot()
        ids = {snapshot.processes[key_of(snapshot, pid)].cgroup_id for pid in (old, new)}
        assert len(ids) == 2
        for pid in (old, new):
            assert unit_in(units, snapshot, pid) == "again.service"


def test_a_move_in_a_hierarchy_of_version_1(tmp_path: Path, base: Path, session: Session) -> None:
    mount = ["mount", "-t", "cgroup", "-o", "none,name=fdscope-test", "none", str(tmp_path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this kernel has no hierarchies of version 1")
    cgroup, other = base / "a.service", tmp_path / "other.service"
    cgroup.mkdir()
    try:
        other.mkdir()
        with living_in(cgroup) as pid:
            assert unit_of(session, pid) == "a.service"
            enter(other, pid)
            assert unit_of(session, pid) == "a.service"
            enter(tmp_path, pid)
        other.rmdir()
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def threaded(base: Path) -> tuple[Path, Path]:
    """A domain and a threaded cgroup in it."""
    domain = base / "domain.service"
    part = domain / "part.scope"
    part.mkdir(parents=True)
    (part / "cgroup.type").write_text("threaded")
    return domain, part


@pytest.mark.parametrize("of_leader", [True, False])
def test_threads_in_a_cgroup_of_their_own_stay_in_the_unit(
    of_leader: bool, base: Path, session: Session
) -> None:
    domain, part = threaded(base)

    def work() -> None:
        enter(domain)
        some_traffic()
        started = threading.Event()
        tids: list[int] = []

        def worker() -> None:
            tids.append(threading.get_native_id())
            started.set()
            signal.pause()

        threading.Thread(target=worker, daemon=True).start()
        started.wait()
        enter(part, os.getpid() if of_leader else tids[0], "cgroup.threads")

    with alive(work) as pid:
        assert unit_of(session, pid) == "domain.service"
    assert unit_of(session, pid) == "domain.service", "also at its end"


def test_a_process_without_its_leader_moves_too(base: Path, session: Session) -> None:
    first, second = base / "first.service", base / "second.service"
    first.mkdir()
    second.mkdir()
    with alive(partial(enter_and_work, first), with_leader=False) as pid:
        assert unit_of(session, pid) == "first.service"
        enter(second, pid)
        assert unit_of(session, pid) == "second.service"
    assert unit_of(session, pid) == "second.service"


DEPTH = 1100


@contextmanager
def deep(base: Path, *names: str) -> Iterator[str]:
    """A cgroup so many levels down; a path to it that is short enough."""
    with inside(base):
        for name in (*names, *["d"] * DEPTH):
            os.mkdir(name)  # noqa: PTH102
            os.chdir(name)
        yield f"/proc/{os.getpid()}/cwd"


def test_deep_down_in_a_unit(base: Path, session: Session) -> None:
    units = Units(session.cgroups)
    with deep(base, "a.service") as cgroup:
        with living_in(cgroup) as pid:
            assert unit_in(units, session.snapshot(), pid) == "a.service"
        ended = in_child(partial(enter_and_work, cgroup))
        assert unit_in(units, session.snapshot(), ended) == "a.service"
        assert unit_of(session, ended) == UNKNOWN_UNIT, "never met alive, and too far down"


def test_others_do_not_mind_a_deep_tree(base: Path, session: Session) -> None:
    with deep(base) as cgroup, living_in(cgroup):
        beside = base / "beside.service"
        beside.mkdir()
        assert unit_of(session, in_child(partial(enter_and_work, beside))) == "beside.service"


def test_directories_that_cannot_be_read(base: Path, session: Session) -> None:
    """The names come from the kernel and not from the file system."""
    cgroup = base / "closed.service"
    cgroup.mkdir()
    cgroup.chmod(0)
    with living_in(cgroup) as pid:
        assert unit_of(session, pid) == "closed.service"


def test_a_process_that_has_gone_unseen(base: Path, session: Session) -> None:
    pid = in_child(partial(enter_and_work, base))
    session.cgroups.take()
    units = Units(session.cgroups)
    snapshot = session.snapshot()
    key = key_of(snapshot, pid)
    units.meet({key: snapshot.processes[key]})
    assert units.unit(snapshot.processes[key].cgroup_id) == UNKNOWN_UNIT


def test_the_fill_of_the_map_is_told_and_given_back(base: Path, session: Session) -> None:
    session.cgroups.take()
    names = {b"%d.service" % number for number in range(5)}
    for name in names:
        cgroup = base / os.fsdecode(name)
        cgroup.mkdir()
        in_child(partial(enter_and_work, cgroup))
    assert session.accounts().maps["cgroups"].entries >= len(names)
    assert {cgroup.name for cgroup in session.cgroups.take()} >= names
    assert not names & {cgroup.name for cgroup in session.cgroups.take()}
