# SPDX-License-Identifier: GPL-2.0-only
"""Bytes of each file of watched processes: exact, and in sum what the account has."""

import errno
import time
from pathlib import Path

from fdscope.exporter.spotlight.recorder import View
from fdscope.probes.read.session import Session
from fdscope.probes.schema.files import Operation
from fdscope.probes.schema.snapshot import Amount
from fdscope.probes.schema.taxonomy import Birth, Cause, Door, FdType
from tests.kernel.spotlight.watching import (
    READ,
    WRITE,
    Watching,
    row_of,
    sums,
    watched,
    watching,
)


def test_each_file_and_the_sum(spotlight: Watching, tmp_path: Path) -> None:
    """Two files and a pair of sockets, each with bytes of its own."""
    view = spotlight.run(
        "import os, socket, sys\n"
        "one = os.open(sys.argv[1] + '/one', os.O_RDWR | os.O_CREAT)\n"
        "for n in range(7): os.write(one, b'x' * 11)\n"
        "os.pread(one, 13, 0)\n"
        "two = os.open(sys.argv[1] + '/two', os.O_WRONLY | os.O_CREAT)\n"
        "os.sendfile(two, one, 0, 17)\n"
        "try: os.read(two, 1)\n"
        "except OSError: pass\n"
        "os.close(one)\n"
        "here, there = socket.socketpair()\n"
        "here.send(b'y' * 19); there.recv(5); there.recv(100)\n",
        str(tmp_path),
    )
    (process,) = view.processes
    one, two = row_of(process, f"{tmp_path}/one"), row_of(process, f"{tmp_path}/two")
    assert {o: d.amount for o, d in one.done.items()} == {
        Operation(WRITE, Door.READ_WRITE, 0): Amount(7, 77),
        Operation(READ, Door.READ_WRITE, 0): Amount(1, 13),
        Operation(READ, Door.SENDFILE, 0): Amount(1, 17),
    }
    assert (one.birth, one.cause, one.fd_type) == (Birth.OPEN, Cause.CLOSE, FdType.REGULAR)
    assert {o: d.amount for o, d in two.done.items()} == {
        Operation(WRITE, Door.SENDFILE, 0): Amount(1, 17),
        Operation(READ, Door.READ_WRITE, errno.EBADF): Amount(1, 0),
    }
    assert two.cause is Cause.EXIT
    sockets = [row for row in process.rows if row.fd_type is FdType.UNIX_STREAM]
    assert sorted((row.written, row.read) for row in sockets) == [
        (Amount(0, 0), Amount(2, 19)),
        (Amount(1, 19), Amount(0, 0)),
    ]


def test_each_look_counts_once(spotlight: Watching, tmp_path: Path) -> None:
    """Also the look in which the files of an ended process are taken out of the maps."""
    first = spotlight.run(
        "import os, sys\nfd = os.open(sys.argv[1] + '/one', os.O_WRONLY | os.O_CREAT)\n"
        "for n in range(5): os.write(fd, b'x' * 1000)\n",
        str(tmp_path),
    )
    (process,) = first.processes
    looks = [sums(process)]
    assert looks[0][WRITE, Door.READ_WRITE, 0] == Amount(5, 5000)
    until = first.now + 2.5
    while (view := spotlight.view()).now < until:
        looks.append(sums(view.processes[0]))
        time.sleep(0.3)
    assert looks == looks[:1] * len(looks)


def test_sum_is_the_account(spotlight: Watching, tmp_path: Path) -> None:
    """Of each process of a tree, through several doors; nothing is lost."""
    view = spotlight.run(
        "import os, subprocess, sys\n"
        "subprocess.run('seq 5000 | tee one | gzip > two; cat one two > three; ls', shell=True,"
        " check=True, cwd=sys.argv[1], stdout=subprocess.DEVNULL)\n",
        str(tmp_path),
    )
    assert {each.name for each in view.processes} >= {"seq", "tee", "gzip", "cat", "ls"}
    for process in view.processes:
        if process.process.parent is None:
            continue  # it did something before it was watched
        assert sums(process) == spotlight.accounted(process.process.key)
        assert sums(process), process.name
    assert view.lost == Amount(0, 0)
    (tee,) = (each for each in view.processes if each.name == "tee")
    assert row_of(tee, f"{tmp_path}/one").written.bytes == (tmp_path / "one").stat().st_size


def test_files_that_came_and_went(spotlight: Watching, tmp_path: Path) -> None:
    """The kernel gives the same address to one file after the other: each is told apart."""
    view = spotlight.run(
        "import os, sys\n"
        "for n in range(200):\n"
        "    fd = os.open(f'{sys.argv[1]}/{n}', os.O_WRONLY | os.O_CREAT)\n"
        "    os.write(fd, b'z' * n)\n"
        "    os.close(fd)\n",
        str(tmp_path),
    )
    (process,) = view.processes
    for n in range(200):
        assert row_of(process, f"{tmp_path}/{n}").written == Amount(1, n)


def in_maps(view: View) -> int:
    """Entries of files, names and operations."""
    return sum(used for of, (used, _) in view.room.items() if of != "processes")


def test_closed_files_leave_the_maps(spotlight: Watching, tmp_path: Path) -> None:
    """They are summed by name, and stay in the sums."""
    view = spotlight.run(
        "import os, sys, time\n"
        "for n in range(300):\n"
        "    fd = os.open(sys.argv[1] + '/same', os.O_WRONLY | os.O_CREAT)\n"
        "    os.write(fd, b'12345')\n"
        "    os.close(fd)\n",
        str(tmp_path),
    )
    deadline = time.monotonic() + 30
    while in_maps(view) and time.monotonic() < deadline:
        time.sleep(0.3)
        view = spotlight.view()
    (process,) = view.processes
    same = row_of(process, f"{tmp_path}/same")
    assert (same.files, same.written) == (300, Amount(300, 1500))
    assert not in_maps(view)


def test_inherited_and_duplicated(spotlight: Watching, tmp_path: Path) -> None:
    """A child's descriptors of its parent's file: the name is known, the bytes are the child's."""
    view = spotlight.run(
        "import os, sys\n"
        "fd = os.open(sys.argv[1] + '/shared', os.O_WRONLY | os.O_CREAT)\n"
        "if not os.fork():\n"
        "    os.dup2(fd, 77); os.close(fd); os.write(77, b'child'); os._exit(0)\n"
        "os.wait(); os.write(fd, b'me')\n",
        str(tmp_path),
    )
    parent, child = view.processes
    assert row_of(parent, f"{tmp_path}/shared").written == Amount(1, 2)
    inherited = row_of(child, f"{tmp_path}/shared")
    assert (inherited.written, inherited.birth) == (Amount(1, 5), Birth.FORK)


def test_release_leaves_nothing(session: Session, tmp_path: Path) -> None:
    with watching(session) as lease:
        lease.run("open('/dev/null').close()", str(tmp_path))
        assert watched(session).processes
    left = watched(session)
    assert not left.processes
    assert not left.files
    assert not left.done
    assert {used for used, _ in left.room.values()} == {0}
