# SPDX-License-Identifier: GPL-2.0-only
"""Root runs the commands in places with code of another user: none of it runs."""

import os
import signal
import site
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.exporter.process import read_until, wait_until_caught
from tests.paths import ROOT

pytestmark = pytest.mark.native

START = (
    f"import sys; sys.path.insert(0, {str(ROOT)!r}); from fdscope.exporter.cli.main import main; "
)
MODULES = (
    "json", "fdscope", "fdscope/__init__", "probes", "probes/__init__", "exporter", "bcc",
    "bcc/__init__", "numpy", "socket",
    "ctypes", "struct", "typing", "dataclasses", "encodings/__init__", "encodings/utf_8",
    "sitecustomize", "usercustomize", "start",
)  # fmt: skip
HEADERS = (
    "stddef.h",
    "stdint.h",
    "linux/ptrace.h",
    "uapi/linux/ptrace.h",
    "core/kernel.h",
    "core/fd_type.h",
)


@pytest.fixture
def witness(tmp_path: Path) -> Path:
    """The file that the other user's code creates when it runs."""
    return tmp_path / "witness"


@pytest.fixture
def hostile(tmp_path: Path, witness: Path) -> Path:
    """Make a directory of modules and headers that everybody may write to."""
    folder = tmp_path / "hostile"
    user_site = site.getusersitepackages().removeprefix(site.getuserbase()).lstrip("/")
    places = [folder, folder / "home/.local" / user_site]
    for place in places:
        for module in MODULES:
            file = place / f"{module}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"import os\nos.close(os.open({str(witness)!r}, os.O_CREAT))\n")
    for header in HEADERS:
        file = folder / "include" / header
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("#error the header of a stranger\n")
    folder.chmod(0o777)
    return folder


def poisoned(folder: Path) -> Mapping[str, str]:
    """An environment in which every search path points to the directory."""
    names = (
        "PYTHONPATH", "BCC_KERNEL_SOURCE", "TMPDIR", "TEMP", "TMP", "LD_LIBRARY_PATH",
    )  # fmt: skip
    headers = ("CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "OBJC_INCLUDE_PATH")
    return {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "HOME": str(folder / "home"),
        "PYTHONSTARTUP": str(folder / "start.py"),
        "BCC_LINUX_VERSION_CODE": "1",
        "BCC_PROBE_LIMIT": "0",
        **{name: str(folder) for name in names},
        **{name: str(folder / "include") for name in headers},
    }


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    # As the package's launcher starts it: what is tested is what it starts in turn.
    command = [sys.executable, "-IB", "-c", f"{START}sys.exit(main())", *arguments]
    return subprocess.run(
        command, cwd=folder, env=poisoned(folder), capture_output=True, text=True, timeout=600
    )


@pytest.mark.parametrize("command", ["doctor", "selftest", "ledger --seconds=0.1", "version"])
def test_a_command(hostile: Path, witness: Path, command: str) -> None:
    done = run(hostile, *command.split())
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert not witness.exists()


def test_the_exporter_and_its_end(hostile: Path, witness: Path) -> None:
    command = [sys.executable, "-IB", "-c", f"{START}sys.exit(main())", "exporter"]
    with subprocess.Popen(
        [*command, "--web.listen-address=127.0.0.1:0"],
        cwd=hostile, env=poisoned(hostile), stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stderr
            read_until(process.stderr, "metrics: http")
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
    assert not witness.exists()


def children_of(pid: int) -> list[int]:
    file = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in file.read_text().split()]


def compiles(pid: int) -> bool:
    """True for the process that compiles; another one answers meanwhile."""
    return b"\0-c\0" in Path(f"/proc/{pid}/cmdline").read_bytes()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_children_start_in_the_root_and_end_with_a_killed_parent() -> None:
    """The process that compiles."""
    command = [
        sys.executable,
        "-m",
        "fdscope",
        "exporter",
        "--web.listen-address=127.0.0.1:0",
    ]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            read_until(process.stderr, "compiling and attaching")
            deadline = time.monotonic() + 60
            while not (children := [c for c in children_of(process.pid) if compiles(c)]):
                assert time.monotonic() < deadline
                time.sleep(0.001)
            (child,) = children
            wait_until_ignored(child)
            assert Path(f"/proc/{child}/cwd").readlink() == Path("/")
            names = Path(f"/proc/{child}/environ").read_text().rstrip("\0").split("\0")
            assert {name.partition("=")[0] for name in names} <= {
                "PATH", "HOME", "LC_ALL", "OPENBLAS_NUM_THREADS", "BCC_KERNEL_SOURCE",
            }  # fmt: skip
        finally:
            process.kill()
    deadline = time.monotonic() + 20
    while is_alive(child):
        assert time.monotonic() < deadline, "the compiler outlives a killed exporter"
        time.sleep(0.01)


def wait_until_ignored(pid: int) -> None:
    """Wait until a child is set up: it ignores SIGTERM."""
    deadline = time.monotonic() + 60
    while True:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        ignored = next(int(line.split()[1], 16) for line in lines if line.startswith("SigIgn:"))
        if ignored >> signal.SIGTERM - 1 & 1:
            return
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("seconds", [0.0, 0.4, 1.5])
def test_a_signal_while_it_starts(number: signal.Signals, seconds: float) -> None:
    """It ends with success, and so do its children."""
    command = [
        sys.executable,
        "-m",
        "fdscope",
        "exporter",
        "--web.listen-address=127.0.0.1:0",
    ]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until_caught(process.pid, signal.SIGTERM, signal.SIGINT)
            time.sleep(seconds)
            children = children_of(process.pid)
            process.send_signal(number)
            _, told = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 0, told
    assert "Traceback" not in told
    assert not any(map(is_alive, children))
