# SPDX-License-Identifier: GPL-2.0-only
"""The exporter as a real process, and the checks of that process."""

import os
import re
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from fdscope.exporter.preconditions import RunError, check_capabilities, check_host
from fdscope.probes.hooks import blind_spots
from fdscope.probes.kernel.host import Host
from fdscope.probes.schema.taxonomy import Mode
from tests.exporter.process import (
    exporter,
    read_until,
    wait_until_caught,
    wait_until_serving,
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serves_until_a_signal_and_detaches(number: signal.Signals) -> None:
    with exporter("", "--process.max-series=7", "--exclude-self") as process:
        assert process.stderr
        told = read_until(process.stderr, "metrics: http")
        address = re.search(r"http://127\.0\.0\.1:([0-9]+)/metrics", told[-1])
        assert address
        with socket.create_connection(("127.0.0.1", int(address[1]))) as client:
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: client.recv(65536), b""))
        process.send_signal(number)
        output, errors = process.communicate(timeout=120)
    assert b"fdscope_test 1.0" in answer
    assert process.returncode == 0
    assert "Traceback" not in errors
    assert output.splitlines()[1:] == [
        "privileges of ''",
        "collector of 7",
        "collector closed",
        "detached",
    ]
    assert f"exclude_tgid={process.pid}" in output
    everything = "".join(told)
    assert 'level=INFO msg="mode fentry does not work here: refused"\n' in everything
    assert 'level=INFO msg="attached, file layer: sys_exit"\n' in everything
    assert 'level=WARNING msg="failed: vfs_x: no such thing"\n' in everything
    assert 'level=INFO msg="attach mode: tracepoint"\n' in everything
    assert everything.count("blind spots") == 1
    count = len(blind_spots.of(Mode.TRACEPOINT))
    assert f'msg="blind spots of this mode on this kernel: {count} (listed' in everything
    assert 'msg="live page: http://' in told[-2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_compiling_ends_it(number: signal.Signals) -> None:
    with exporter("attach-hangs") as process:
        assert process.stderr
        read_until(process.stderr, "compiling")
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("flags", "started_with", "wanted"),
    [((), 0, -10), (("--scheduling.nice=0",), 0, 0), (("--scheduling.nice=3",), 0, 3), ((), 5, 5)],
)
def test_priority(flags: Sequence[str], started_with: int, wanted: int) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can raise a priority")

    def before() -> None:
        os.setpriority(os.PRIO_PROCESS, 0, started_with)

    with exporter("", *flags, before=before) as process:
        assert process.stderr
        read_until(process.stderr, "metrics: http")
        of_threads = {
            os.getpriority(os.PRIO_PROCESS, int(task.name))
            for task in Path(f"/proc/{process.pid}/task").iterdir()
        }
    assert of_threads == {wanted}


MOMENTS = (0.0, 0.02, 0.05, 0.1, 0.3, 0.6)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_any_moment_of_the_start_ends_it(number: signal.Signals) -> None:
    """From the first line of ``main`` on; before it, Python itself starts."""
    for moment in MOMENTS:
        with exporter("") as process:
            wait_until_caught(process.pid, signal.SIGTERM, signal.SIGINT)
            time.sleep(moment)
            process.send_signal(number)
            output, errors = process.communicate(timeout=120)
        assert (process.returncode, "Traceback" in errors) == (0, False), (moment, errors)
        assert ("collector of" in output) <= ("detached" in output)


@pytest.mark.parametrize(
    ("wish", "output", "errors"),
    [
        ("no-capability", [], "fdscope exporter: not root\n"),
        ("contained", [], "fdscope exporter: in a container\n"),
        ("no-user", [], "fdscope exporter: cannot become \n"),
        ("attach-fails", [], "attached: why\nRun `fdscope doctor`\n"),
        (
            "collector-fails",
            ["collector of 1000", "detached"],
            "fdscope exporter: the collector failed\n",
        ),
    ],
)
def test_expected_failures(wish: str, output: list[str], errors: str) -> None:
    with exporter(wish, "--exclude-self") as process:
        told, why = process.communicate(timeout=120)
    assert process.returncode == 1
    assert why.endswith(errors)
    assert "Traceback" not in why
    assert told.splitlines()[2:] == output


def test_a_port_in_use_is_found_before_anything_is_attached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        address = f"127.0.0.1:{holder.getsockname()[1]}"
        with exporter("", f"--web.listen-address={address}") as process:
            told, why = process.communicate(timeout=120)
    assert (process.returncode, told) == (1, "")
    assert f"cannot listen on {address}: Address already in use" in why
    assert "ss -ltnp" in why


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "basic_auth_users: {alice: secret}",
        "tls_server_config: {cert_file: none.pem, key_file: none.pem}",
    ],
)
def test_a_wrong_web_configuration_opens_no_port(tmp_path: Path, text: str | None) -> None:
    """It ends the start before a port is opened: the one named here is in use."""
    file = tmp_path / "web.yml"
    if text is not None:
        file.write_text(text)
    with socket.create_server(("127.0.0.1", 0)) as holder:
        address = f"127.0.0.1:{holder.getsockname()[1]}"
        wishes = (f"--web.listen-address={address}", f"--web.config.file={file}")
        with exporter("", *wishes) as process:
            told, why = process.communicate(timeout=120)
    assert (process.returncode, told) == (2, ""), why
    assert str(tmp_path) in why.splitlines()[-1]
    assert "cannot listen" not in why


def test_a_reader_of_the_log_that_leaves_does_not_end_it() -> None:
    with exporter("") as process:
        assert process.stderr
        assert process.stdout
        process.stderr.close()
        read_until(process.stdout, "collector of")
        wait_until_serving(process.pid, threads=2)  # no census, no keeper
        process.send_signal(signal.SIGTERM)
        assert "detached" in process.stdout.read()
        assert process.wait(120) == 0


def with_capabilities(directory: Path, bits: Sequence[int]) -> Host:
    """Make a machine whose /proc says that this process has these capabilities."""
    (directory / "self").mkdir()
    effective = f"{sum(1 << bit for bit in bits):016x}"
    (directory / "self/status").write_text(f"Name:\tx\nCapEff:\t{effective}\nCapBnd:\t0\n")
    return Host(proc=directory)


@pytest.mark.parametrize("bits", [(21,), (38, 39), (21, 38, 39)])
def test_capabilities_that_do(tmp_path: Path, bits: Sequence[int]) -> None:
    check_capabilities(with_capabilities(tmp_path, bits))


@pytest.mark.parametrize(
    ("bits", "missing"),
    [((), "CAP_PERFMON and CAP_BPF"), ((38,), "CAP_BPF"), ((39,), "CAP_PERFMON")],
)
def test_capabilities_that_do_not(tmp_path: Path, bits: Sequence[int], missing: str) -> None:
    with pytest.raises(RunError, match=f"needs {missing}, which .*as root.*AmbientCap"):
        check_capabilities(with_capabilities(tmp_path, bits))


def with_namespaces(directory: Path, numbers: str, namespace: str | None) -> Host:
    """Make a machine where this process has these numbers, in this pid namespace."""
    (directory / "self/ns").mkdir(parents=True)
    (directory / "self/status").write_text(
        f"Pid:\t{numbers.split()[0]}\nNSpid:\t{numbers}\nCapEff:\t{1 << 21:016x}\n"
    )
    if namespace:
        (directory / "self/ns/pid").symlink_to(namespace)
    return Host(proc=directory)


@pytest.mark.parametrize("namespace", ["pid:[4026531836]", None])
def test_the_host_s_pid_namespace_does(tmp_path: Path, namespace: str | None) -> None:
    check_host(with_namespaces(tmp_path, "4242", namespace))


@pytest.mark.parametrize(
    ("numbers", "namespace"),
    [("1", "pid:[4026532201]"), ("4242\t1", "pid:[4026532201]"), ("4242\t1", "pid:[4026531836]")],
)
def test_a_container_s_pid_namespace_does_not(tmp_path: Path, numbers: str, namespace: str) -> None:
    with pytest.raises(RunError, match=r"^fdscope needs the host's pid namespace: .*=host"):
        check_host(with_namespaces(tmp_path, numbers, namespace))


def test_a_missing_file_system_is_not_blamed_on_capabilities(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"/proc is missing or empty: mount it \(mount -t proc"):
        check_host(Host(proc=tmp_path / "proc"))
    host = with_capabilities(tmp_path, (21,))
    with pytest.raises(RunError, match=r"/sys is missing or empty: mount it \(mount -t sysfs"):
        check_host(Host(proc=host.proc, sys=tmp_path / "sys"))
