# SPDX-License-Identifier: GPL-2.0-only
"""The commands that attach, as a user runs them."""

import json
import subprocess
import sys
from typing import Any

from fdscope.probes.schema.taxonomy import Mode
from tests.kernel.conftest import can_follow_stacks, modes


def fdscope(*arguments: str) -> dict[str, Any]:
    mode = "auto" if len(modes()) > 1 else modes()[0].value
    command = [
        sys.executable,
        "-m",
        "fdscope",
        *arguments,
        f"--probe.mode={mode}",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_selftest_command() -> None:
    report = fdscope("selftest")
    assert report["ok"]
    doors = {row["door"] for row in report["rows"]}
    assert {"read_write", "vectored", "socket_call", "sendfile", "splice", "aio"} <= doors
    assert {"expected_bytes", "file_bytes", "socket_bytes", "fd_type", "ok"} <= set(
        report["rows"][0]
    )


def test_ledger_command_with_stacks_of_one_socket() -> None:
    """The chains of the end that sends; the end that receives is left out."""
    code = (
        "import os, socket, time\n"
        "one, other = socket.socketpair()\n"
        "print(os.fstat(one.fileno()).st_ino, flush=True)\n"
        "while True: one.send(b'x'); other.recv(1); time.sleep(0.01)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as busy:
        assert busy.stdout
        inode = int(busy.stdout.readline())
        try:
            report = fdscope("ledger", "--seconds=1", "--stacks", f"--socket={inode}")
        finally:
            busy.kill()
    assert report["mode"]
    assert {"complete", "lost_updates", "missed_runs"} <= set(report)
    assert all({"doors", "socket", "residual"} <= set(line) for line in report["lines"])
    if report["socket_layer"]:
        chains = report["stacks"]
        assert {(row["fd_type"], row["direction"]) for row in chains} == {("unix_stream", "sent")}
        if can_follow_stacks(Mode(report["mode"])):
            assert all("__sys_sendto" in row["path"] for row in chains), chains
