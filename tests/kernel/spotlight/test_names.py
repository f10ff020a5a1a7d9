# SPDX-License-Identifier: GPL-2.0-only
"""Names of open files and of closed ones, with known ground truth for each type."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from fdscope.exporter.spotlight.recorder import ProcessView
from fdscope.probes.read.session import Session
from fdscope.probes.schema.taxonomy import FdType
from tests.kernel.fds.every_fd_type import KINDS, load_modules, missing
from tests.kernel.spotlight.watching import Watching, row_of


def names(process: ProcessView) -> set[str | None]:
    return {row.name.text for row in process.rows}


def test_closed_files(spotlight: Watching, tmp_path: Path) -> None:
    """Read in the kernel when they were opened: nobody looked while they were open."""
    view = spotlight.run(
        "import os, sys\n"
        "os.chdir(sys.argv[1])\n"
        "deep = '/'.join(['d' * 200] * 3); os.makedirs(deep)\n"
        "odd = '\\xff'.encode('latin-1')\n"
        "for name in ('plain', 'a\\nb', odd, 'x (deleted)', deep + '/leaf'):\n"
        "    os.close(os.open(name, os.O_WRONLY | os.O_CREAT))\n"
        "os.close(os.open('.', os.O_RDONLY))\n"
        "os.close(os.memfd_create('mine'))\n"
        "os.close(os.eventfd(0))\n"
        "os.mkfifo('pipe'); os.close(os.open('pipe', os.O_RDWR))\n",
        str(tmp_path),
    )
    (process,) = view.processes
    deep = "/".join(["d" * 200] * 3)
    expected = {
        f"{tmp_path}/plain", f"{tmp_path}/a\\x0ab", f"{tmp_path}/\\xff", f"{tmp_path}/x (deleted)",
        f"{tmp_path}/{deep}/leaf", f"{tmp_path}", "memfd:mine", "[eventfd]", f"{tmp_path}/pipe",
    }  # fmt: skip
    assert expected <= names(process)


def test_over_4_kb(spotlight: Watching, tmp_path: Path) -> None:
    """Longer than /proc can show: opened in steps, named in whole."""
    view = spotlight.run(
        "import os, sys\n"
        "os.chdir(sys.argv[1])\n"
        "for n in range(25): os.mkdir('e' * 250); os.chdir('e' * 250)\n"
        "os.write(os.open('leaf', os.O_WRONLY | os.O_CREAT), b'x')\n"
        "fd = os.open('later', os.O_WRONLY | os.O_CREAT)\n"
        "try: os.readlink(f'/proc/self/fd/{fd}')\n"
        "except OSError: pass\n"
        "else: sys.exit(1)\n",
        str(tmp_path),
    )
    (process,) = view.processes
    (leaf,) = (row for row in process.rows if (row.name.text or "").endswith("/leaf"))
    assert leaf.name.text is not None
    if leaf.name.is_whole:
        assert leaf.name.text == f"{tmp_path}/{'/'.join(['e' * 250] * 25)}/leaf"
    else:
        assert f"{tmp_path}/{'/'.join(['e' * 250] * 25)}/leaf".endswith(leaf.name.text[4:])
    subprocess.run(["rm", "-rf", str(tmp_path)], check=True)


def alive(code: str, *arguments: str) -> "subprocess.Popen[str]":
    """A process that opens something, says so, and stays until its input is closed."""
    tail = "\nimport sys; print('', flush=True); sys.stdin.read()\n"
    process = subprocess.Popen(
        ["/usr/bin/python3", "-c", code + tail, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    assert process.stdout.readline() == "\n"
    return process


def test_open_files(spotlight: Watching, tmp_path: Path) -> None:
    """The name as it is now: renamed, deleted, over 4 kB; the kind of deleted is no part of it."""
    code = (
        "import os, sys\n"
        "os.chdir(sys.argv[1]); made = os.O_WRONLY | os.O_CREAT\n"
        "os.open('before', made); os.rename('before', 'after')\n"
        "os.open('gone', made); os.unlink('gone')\n"
        "os.open('kept (deleted)', made)\n"
        "os.open('linked', made); os.link('linked', 'other'); os.unlink('linked')\n"
        "for n in range(25): os.mkdir('e' * 250); os.chdir('e' * 250)\n"
        "os.open('leaf', made)\n"
    )
    with alive(code, str(tmp_path)) as process:
        spotlight.watch(process.pid)
        (view,) = spotlight.view().processes
        process.communicate("")
    assert f"{tmp_path}/before" not in names(view)
    assert not row_of(view, f"{tmp_path}/after").is_deleted
    assert row_of(view, f"{tmp_path}/gone").is_deleted
    assert not row_of(view, f"{tmp_path}/kept (deleted)").is_deleted
    assert row_of(view, f"{tmp_path}/linked").is_deleted
    row_of(view, f"{tmp_path}/{'/'.join(['e' * 250] * 25)}/leaf")
    subprocess.run(["rm", "-rf", str(tmp_path)], check=True)


def test_mounts(spotlight: Watching, tmp_path: Path) -> None:
    """Bind mounts, overlays, and another mount namespace: as the process itself sees the name."""
    code = (
        "import os, subprocess, sys\n"
        "os.chdir(sys.argv[1])\n"
        "def do(*argv): subprocess.run(argv, check=True)\n"
        "for name in ('src', 'bind', 'low', 'up', 'work', 'over', 'ram'): os.mkdir(name)\n"
        "open('src/file', 'w').close(); open('low/file', 'w').close()\n"
        "do('mount', '--bind', 'src', 'bind'); do('mount', '-t', 'tmpfs', 'none', 'ram')\n"
        "over = subprocess.run(['mount', '-t', 'overlay', 'none', '-o',\n"
        "    'lowerdir=low,upperdir=up,workdir=work', 'over']).returncode == 0\n"
        "keep = [open('bind/file'), open('ram/new', 'w')] + [open('over/file')] * over\n"
        "print(over, flush=True)\n"
    )
    with subprocess.Popen(
        ["unshare", "--mount", "/usr/bin/python3", "-c", code + "sys.stdin.read()", str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        has_overlay = process.stdout.readline() == "True\n"
        spotlight.watch(process.pid)
        (view,) = spotlight.view().processes
        process.communicate("")
    assert {f"{tmp_path}/bind/file", f"{tmp_path}/ram/new"} <= names(view)
    assert row_of(view, f"{tmp_path}/ram/new").protocol_or_filesystem == "tmpfs"
    if has_overlay:
        assert row_of(view, f"{tmp_path}/over/file").protocol_or_filesystem == "overlay"


def test_sockets(spotlight: Watching, tmp_path: Path) -> None:
    """Both addresses, also of those that are closed; abstract names; scope of link-local ones."""
    view = spotlight.run(
        "import socket, sys\n"
        "one = socket.create_server(('127.0.0.1', 0)); port = one.getsockname()[1]\n"
        "client = socket.create_connection(('127.0.0.1', port)); server, _ = one.accept()\n"
        "open(sys.argv[1] + '/ports', 'w').write(f'{port} {client.getsockname()[1]}')\n"
        "client.send(b'abc'); server.recv(9)\n"
        "for each in (client, server, one): each.close()\n"
        "unix = socket.socket(socket.AF_UNIX); unix.bind('\\0ab\\nstract'); unix.listen()\n"
        "peer = socket.socket(socket.AF_UNIX); peer.connect('\\0ab\\nstract'); peer.close()\n"
        "unix.close()\n"
        "six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); six.connect(('::1', 9))\n"
        "six.close()\n",
        str(tmp_path),
    )
    port, own = (tmp_path / "ports").read_text().split()
    (process,) = view.processes
    client = row_of(process, f"127.0.0.1:{own} -> 127.0.0.1:{port}")
    assert (client.written.bytes, client.device) == (3, "lo")
    assert row_of(process, f"127.0.0.1:{port} -> 127.0.0.1:{own}").read.bytes == 3
    found = names(process)
    assert f"127.0.0.1:{port}" in found
    assert "@ab\\x0astract" in found
    assert any(re.fullmatch(r"socket:\[\d+\] -> @ab\\x0astract", name or "") for name in found)
    assert any(re.fullmatch(r"\[::1\]:\d+ -> \[::1\]:9", name or "") for name in found)


def test_peers(spotlight: Watching) -> None:
    """The other end of a pipe and of a pair of sockets, in another process."""
    code = (
        "import os, socket, sys, subprocess\n"
        "r, w = os.pipe(); one, two = socket.socketpair(socket.AF_UNIX)\n"
        "other = subprocess.Popen(['sleep', '1000'], stdin=r, stdout=two.fileno())\n"
        "os.close(r); two.close()\n"
        "print(other.pid, w, one.fileno(), flush=True)\n"
        "sys.stdin.read(); other.kill(); other.wait()\n"
    )
    with subprocess.Popen(
        ["/usr/bin/python3", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        pid, pipe, sock = map(int, process.stdout.readline().split())
        spotlight.watch(process.pid)
        (view,) = spotlight.view(with_peers=True).processes
        process.communicate("")
    rows = {fd: row for row in view.rows for fd in row.fds}
    assert [(peer.pid, peer.name, peer.fd) for peer in rows[pipe].peers] == [(pid, "sleep", 0)]
    assert [(peer.pid, peer.name, peer.fd) for peer in rows[sock].peers] == [(pid, "sleep", 1)]


# lsof and lsfd, at the same moment, for every fd type.

_LSFD = {
    "REG": {FdType.REGULAR, FdType.MEMFD, FdType.MQUEUE, FdType.PATH, FdType.NAMESPACE},
    "DIR": {FdType.DIRECTORY, FdType.PATH},
    "CHR": {FdType.CHARACTER, FdType.TTY},
    "BLK": {FdType.BLOCK},
    "FIFO": {FdType.FIFO},
    "SOCK": {each for each in FdType if each.is_socket},
    "LINK": {FdType.PATH},
}
"""Types of lsfd to those of ours."""


def lsfd() -> dict[int, dict[str, str]]:
    """Descriptor of this process to what lsfd has about it."""
    why = ""
    # STTYPE since util-linux 2.39; before, TYPE is the same.
    for column in ("STTYPE", "TYPE"):
        told = subprocess.run(
            ["lsfd", "--json", "--pid", str(os.getpid()), "--output", f"ASSOC,{column},INODE"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if told.returncode == 0:
            return {
                int(row["assoc"]): {"type": row[column.lower()], "inode": str(row["inode"])}
                for row in json.loads(told.stdout)["lsfd"]
                if row["assoc"].isdecimal()
            }
        why = told.stderr
    pytest.skip(f"this lsfd cannot say it: {why}")


def test_same_fds_and_types_as_lsfd(session: Session) -> None:
    """Every fd type that this kernel has, in one process that stays as it is."""
    load_modules()
    kinds = [kind for kind in KINDS if missing(kind) is None]
    opened = {kind.make(): kind.fd_type for kind in kinds}
    try:
        lister = session.lister
        assert lister
        found = lister.fds_of(os.getpid())
        listed = {fd.fd: fd for fd in getattr(found, "fds", ())}
        there = {int(each.name) for each in Path("/proc/self/fd").iterdir()}
        assert {fd: listed[fd].fd_type for fd in opened} == opened
        # Each of both has a descriptor open to look, and not the other's.
        assert len(there ^ set(listed)) <= 2
        rows = lsfd()
        for fd, fd_type in opened.items():
            assert str(listed[fd].place.inode) == rows[fd]["inode"], (fd_type, rows[fd])
            if rows[fd]["type"] in _LSFD:
                assert fd_type in _LSFD[rows[fd]["type"]], rows[fd]
    finally:
        for fd in opened:
            os.close(fd)
