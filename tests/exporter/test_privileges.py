# SPDX-License-Identifier: GPL-2.0-only
"""Privileges dropped for good, in separate processes."""

import os
import subprocess
import sys

import pytest

from fdscope.exporter import privileges
from tests.paths import ROOT

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has privileges to give up")

REPORT = """
import os, sys
from fdscope.exporter import privileges
privileges.drop(sys.argv[1], sys.argv[2].split())
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines())
print(*(int(status[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")))
print(*os.getresuid(), *os.getresgid(), status["NoNewPrivs"])
print(int(status["CapBnd"], 16))
print(os.access("/proc/self/fdinfo/0", os.R_OK))
"""


def dropped(user: str, keep: str, code: str = REPORT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, user, keep],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@as_root
@pytest.mark.parametrize(("user", "ids"), [("nobody", "65534"), ("", "0")])
def test_only_what_is_kept_is_left(user: str, ids: str) -> None:
    lines = dropped(user, "CAP_BPF").stdout.splitlines()
    kept = 1 << privileges.CAPABILITIES["CAP_BPF"]
    assert lines[0] == f"{kept} {kept} 0 0"
    assert lines[1].split()[:6] == [ids] * 6
    assert lines[1].split()[6] == "1"
    assert int(lines[2]) == kept
    assert lines[3] == "True"


@as_root
def test_nothing_can_be_had_back() -> None:
    code = (
        REPORT
        + """
import subprocess
try:
    os.setuid(0)
except PermissionError:
    print("no root")
print(subprocess.run(["cat", "/etc/shadow"], capture_output=True).returncode)
"""
    )
    lines = dropped("nobody", "", code).stdout.splitlines()
    assert lines[-2:] == ["no root", "1"]


@as_root
def test_a_thread_that_keeps_privileges_is_found() -> None:
    code = "import threading, time\nthreading.Thread(target=time.sleep, args=(1,)).start()" + REPORT
    assert "PrivilegeError: thread" in dropped("", "", code).stderr


def test_an_unknown_user() -> None:
    with pytest.raises(privileges.PrivilegeError, match="there is no user nosuch: make one"):
        privileges.drop("nosuch", ())


@pytest.mark.parametrize(
    ("release", "expected"),
    [("5.10.0-46-cloud-amd64", True), ("5.18.1", True), ("5.19.0", False), ("6.1.0", False)],
)
def test_old_kernels_ask_for_a_privilege_to_read_maps(release: str, expected: bool) -> None:
    assert privileges.needed(release) == (["CAP_BPF"] if expected else [])
