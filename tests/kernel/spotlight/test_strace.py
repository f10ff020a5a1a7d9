# SPDX-License-Identifier: GPL-2.0-only
"""Real commands: what was seen of them is what ``strace -f`` says, to the byte."""

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdscope.exporter.spotlight.recorder import View
from tests.kernel.spotlight.watching import Watching

READS = ("read", "pread64", "readv", "preadv", "preadv2", "recvfrom", "recvmsg", "getdents64")
WRITES = ("write", "pwrite64", "writev", "pwritev", "pwritev2", "sendto", "sendmsg")
BOTH = ("sendfile", "splice", "copy_file_range")
_CALL = re.compile(r"^(\w+)\((.*)\) += (-?\d+)( E\w+)?", re.DOTALL)


def of_strace(folder: Path) -> Counter[str]:
    """Operations and bytes that succeeded, and calls that failed, of all processes."""
    sums: Counter[str] = Counter()
    for log in folder.iterdir():
        for line in log.read_text(errors="replace").splitlines():
            call = _CALL.match(line)
            if not call or call[1] not in (*READS, *WRITES, *BOTH):
                continue
            ways = ["read"] * (call[1] in READS) + ["write"] * (call[1] in WRITES)
            if call[1] == "recvfrom" and "MSG_PEEK" in call[2]:
                ways = ["peek"]
            for way in ways or ["read", "write"]:
                failed = int(call[3]) < 0
                if call[4] in (" EBADF", " ENOTSOCK"):
                    continue  # refused descriptors are no operations
                sums[f"{way} failed" if failed else f"{way} operations"] += 1
                sums[f"{way} bytes"] += max(int(call[3]), 0)
    return sums


def of_view(view: View) -> Counter[str]:
    """The same of all watched processes but strace itself."""
    sums: Counter[str] = Counter()
    for process in view.processes:
        if process.name == "strace":
            continue
        for row in process.rows:
            for operation, done in row.done.items():
                way = operation.account.label.removeprefix("file_")
                failed = bool(operation.errno)
                sums[f"{way} failed" if failed else f"{way} operations"] += done.amount.operations
                sums[f"{way} bytes"] += done.amount.bytes
    return sums


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "page").write_bytes(bytes(range(256)) * 3000)
    code = (
        "import functools, http.server, sys\n"
        "handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])\n"
        "s = http.server.HTTPServer(('127.0.0.1', 0), handler)\n"
        "print(s.server_port, flush=True); s.serve_forever()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/page"
        process.kill()


COMMANDS = {
    "cp": "cp -r /usr/share/doc/bash copied; cp --reflink=never /bin/bash one",
    "cat": "cat /etc/services /etc/protocols > both; cat both | wc -c",
    "dd": "dd if=/dev/zero of=zeros bs=12345 count=77 conv=fsync",
    "tar": "tar c /usr/share/doc/bash | gzip > packed.gz; tar xzf packed.gz",
    "sort": "seq 20000 | sort -R | sort -n | tail -n 1",
    "find": "find /usr/share/doc/b* -type f | xargs cat | md5sum",
    "sed": "seq 3000 > numbers; sed -i s/1/one/ numbers; grep -c one numbers; awk 1 numbers",
    "python": "/usr/bin/python3 -c \"import json; open('j', 'w').write(json.dumps([1] * 9999))\"",
    "perl": 'perl -e \'open(F, ">p"); print F "x" x 99999; close(F)\'',
    "git": "git init -q r && cd r && seq 999 > f && git add f"
    " && git -c user.name=a -c user.email=b commit -qm x && cd .. && git clone -q r s",
    "gcc": "echo 'int main(void){return 0;}' > m.c; gcc -o m m.c && ./m",
    "find-sqlite": "/usr/bin/python3 -c \"import sqlite3; c = sqlite3.connect('d');"
    " c.execute('create table t(x)'); c.executemany('insert into t values(?)',"
    ' [(n,) for n in range(999)]); c.commit()"',
    "rsync": "seq 9999 > r1; rsync r1 r2",
    "curl": 'curl -s -o fetched "$URL"',
    "wget": 'wget -q -O fetched "$URL"',
    "ssh": "ssh -V; ssh-keygen -q -t ed25519 -N '' -f key",
    "openssl": "openssl rand -out random 100000; openssl dgst -sha256 random",
    "node": "node -e \"require('fs').writeFileSync('n', 'x'.repeat(9999))\"",
    "go": "go version",
    "ls": "ls -laR /usr/share/doc/bash; du -s /usr/share/doc/bash",
    "ps": "ps aux | head -n 3",
    "xz": "seq 9999 | xz -0 | xz -d | tail -n 1",
    "split": "seq 9999 > s0; split -l 1000 s0 part-; cat part-* | cmp - s0",
    "diff": "seq 99 > d1; seq 98 > d2; diff d1 d2; patch -v | head -n 1",
    "tee": "seq 9999 | tee t1 t2 | tail -n 1",
    "make": "printf 'all:\\n\\techo made > m\\n' > Makefile; make -s",
    "id": "id; getent passwd root; hostname; date",
    "base64": "seq 999 | base64 | base64 -d | wc -l",
    "install": "seq 9 > i1; install -m 600 i1 i2; mv i2 i3; ln i3 i4; rm i4; truncate -s 99 i3",
    "bash": "bash -c 'while read -r line; do echo $line; done < /etc/hosts'",
}
"""Name of a program to what a shell runs."""


@pytest.mark.parametrize("program", COMMANDS)
def test_sums(spotlight: Watching, server: str, tmp_path: Path, program: str) -> None:
    needed = program.partition("-")[0].replace("python", "python3")
    if not shutil.which(needed) or not shutil.which("strace"):
        pytest.skip(f"{needed} or strace is not installed")
    logs, place = tmp_path / "logs", tmp_path / "place"
    logs.mkdir()
    place.mkdir()
    calls = ",".join((*READS, *WRITES, *BOTH))
    traced = ["strace", "-ff", "-qq", "-o", str(logs / "log"), "-e", f"trace={calls}"]
    view = spotlight.run(
        "import os, sys\nos.chdir(sys.argv[1]); os.environ['URL'] = sys.argv[2]\n"
        "null = os.open('/dev/null', os.O_RDWR)\n"
        "os.dup2(null, 1); os.dup2(null, 2)\n"
        "if not os.fork(): os.execvp(sys.argv[3], sys.argv[3:])\n"
        "os.wait()\n",
        str(place), server, *traced, "sh", "-c", COMMANDS[program],
    )  # fmt: skip
    _, *others = view.processes
    seen = of_view(View(tuple(others), view.lost, view.room, view.now))
    told = of_strace(logs)
    assert told["read bytes"]
    assert {key: value for key, value in seen.items() if value} == {
        key: value for key, value in told.items() if value
    }
