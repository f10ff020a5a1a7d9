# SPDX-License-Identifier: GPL-2.0-only
"""Refusals of the operating system end a start with one clear line and status 1."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.exporter.process import first_child, wait_until_serving
from tests.paths import ROOT

pytestmark = pytest.mark.native

FDSCOPE = [sys.executable, "-m", "fdscope"]
EXPORTER = [*FDSCOPE, "exporter", "--web.listen-address=127.0.0.1:0", "--log.level=warning"]
REFUSING = [sys.executable, str(Path(__file__).with_name("refusing.py"))]


def refused(*command: str, status: int = 1) -> str:
    """The one line of a command that cannot start and exits with this status."""
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL
    )
    assert (done.returncode, done.stdout) == (status, ""), done.stderr
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("files", [5, 8, 10, 16, 20, 40, 64])
def test_few_open_files(files: int) -> None:
    line = refused("sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *EXPORTER)
    assert line.startswith(f"fdscope exporter: this process may have {files} open files and needs")
    assert "LimitNOFILE=" in line


@pytest.mark.parametrize("call", ["socketpair", "memfd_create", "pipe2"])
def test_a_denied_system_call(call: str) -> None:
    line = refused(*REFUSING, call, *EXPORTER)
    assert "Operation not permitted (a seccomp filter or a security module refuses it" in line


def test_little_memory() -> None:
    line = refused(*REFUSING, "memory", *EXPORTER)
    assert "ulimit -v" in line


@pytest.mark.parametrize(
    ("mount", "said"),
    [
        ("mount -t tmpfs none /proc", "/proc is missing or empty: mount it (mount -t proc"),
        ("mount -t tmpfs none /sys", "/sys is missing or empty: mount it (mount -t sysfs"),
        (
            "mount --bind /dev/null /sys/kernel/btf/vmlinux",
            "/sys/kernel/btf/vmlinux: BTF is truncated",
        ),
    ],
)
def test_a_missing_file_system(mount: str, said: str) -> None:
    line = refused("unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh", *EXPORTER)
    assert said in line
    assert "CAP_" not in line


def test_a_private_pid_namespace() -> None:
    line = refused("unshare", "--pid", "--fork", "--mount-proc", *EXPORTER)
    assert "needs the host's pid namespace" in line
    assert "--pid=host" in line


def test_a_user_is_looked_for_before_the_compile() -> None:
    line = refused(*EXPORTER, "--privileges.user=nosuch", status=2)
    assert "there is no user 'nosuch'" in line


def test_a_user_that_cannot_be_become() -> None:
    bounding = ["setpriv", "--bounding-set=-setuid,-setgid", "--inh-caps=-setuid,-setgid"]
    line = refused(*bounding, *EXPORTER, "--privileges.user=nobody")
    assert "only root can become nobody" in line


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_standard_streams(closed: str) -> None:
    """It starts, serves and ends; its files do not become the standard streams."""
    script = f'"$@" {closed} & trap "kill $!" EXIT; wait $!'
    with subprocess.Popen(["sh", "-c", script, "sh", *EXPORTER], cwd=ROOT) as shell:
        try:
            pid = first_child(shell.pid)
            wait_until_serving(pid)
            for number in range(3):
                target = str(Path(f"/proc/{pid}/fd/{number}").readlink())
                assert target.startswith(("/dev/", "pipe:", "/")), target
                assert "bpf" not in target
                assert "socket" not in target
        finally:
            subprocess.run(["kill", str(pid)], check=True)
        assert shell.wait(60) == 0


def test_a_full_disk_of_the_log_does_not_end_the_exporter() -> None:
    with Path("/dev/full").open("w") as full:
        command = [*EXPORTER[:-1], "--log.level=debug"]
        with subprocess.Popen(command, cwd=ROOT, stderr=full) as process:
            try:
                wait_until_serving(process.pid)
                process.terminate()
                assert process.wait(60) == 0
            finally:
                process.kill()
