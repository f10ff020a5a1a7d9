# SPDX-License-Identifier: GPL-2.0-only
"""``fdscope doctor`` on machines that lack something."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from fdscope.probes.attach import compiler
from fdscope.probes.attach.compiler import LoadError
from fdscope.probes.attach.report import HookStatus, State
from fdscope.probes.doctor import checks as doctor
from fdscope.probes.doctor.checks import examine, usable_mode
from fdscope.probes.doctor.diagnosis import NOTE, OK, PROBLEM, Check, Diagnosis, Trial
from fdscope.probes.kernel.host import Host
from fdscope.probes.kernel.preemption import best_first
from fdscope.probes.schema.taxonomy import Mode

EMPTY_BTF = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, 0, 0, 1) + b"\0"
HOOK = HookStatus("sys_exit", "file", "tracepoint", "", State.ATTACHED)
ABSENT = HookStatus("sock_send_length", "socket", "tracepoint", "", State.ABSENT, "no such")


def write(path: Path, content: bytes | str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Make a machine on which nothing is missing."""
    write(tmp_path / "proc/self/status", "Name:\tx\nCapEff:\t000001ffffffffff\n")
    write(tmp_path / "proc/sys/net/core/bpf_jit_enable", "1\n")
    write(tmp_path / "sys/kernel/security/lockdown", "none [integrity] confidentiality\n")
    write(tmp_path / "sys/kernel/btf/vmlinux", EMPTY_BTF)
    write(tmp_path / "sys/kernel/tracing/kprobe_events")
    proc, sys, modules, boot = (tmp_path / name for name in ("proc", "sys", "modules", "boot"))
    return Host(proc, sys, modules, boot, "6.12.1", "#1 SMP PREEMPT_DYNAMIC", "x86_64")


def only_tracepoint(mode: Mode) -> Trial:
    if mode is Mode.TRACEPOINT:
        return Trial(mode.value, True, hooks=[HOOK, ABSENT])
    return Trial(mode.value, False, "vfs_read:\n  refused " + "x" * 300)


def found(host: Host, name: str) -> Check:
    checks = examine(host, only_tracepoint).checks
    return next(check for check in checks if check.name == name)


def test_good_machine(host: Host) -> None:
    diagnosis = examine(host, only_tracepoint)
    states = {check.name: check.state for check in diagnosis.checks}
    assert {
        states[n] for n in ("kernel", "lockdown", "btf", "headers", "kprobes", "jit", "preemption")
    } == {OK}
    assert diagnosis.mode == "tracepoint"
    assert diagnosis.verdict.endswith("in tracepoint mode: 1 of 2 hooks attach")


def test_the_usable_mode_is_the_first_that_works(host: Host) -> None:
    tried: list[Mode] = []

    def try_mode(mode: Mode) -> Trial:
        tried.append(mode)
        return Trial(mode.value, mode is Mode.KPROBE)

    assert usable_mode(host, try_mode) is Mode.KPROBE
    assert tried == [Mode.FENTRY, Mode.KPROBE]
    assert usable_mode(host, lambda mode: Trial(mode.value, False)) is None


def test_text_is_a_table_with_a_verdict(host: Host) -> None:
    text = examine(host, only_tracepoint).text()
    assert all(len(line) < 200 and line == line.rstrip() for line in text.splitlines())
    assert "fentry mode      refused  vfs_read: refused xxx" in text
    assert "socket  absent    sock_send_length  no such" in text


def test_json_keys_are_stable(host: Host) -> None:
    document = json.loads(json.dumps(examine(host, only_tracepoint).as_dict()))
    assert list(document) == ["ok", "verdict", "mode", "checks", "modes"]
    assert [check["name"] for check in document["checks"]] == [
        "kernel", "proc and sys", "capabilities", "pid namespace", "open files", "lockdown", "btf",
        "headers", "bcc", "libbpf", "numpy",
        "kprobes", "jit", "preemption",
    ]  # fmt: skip
    assert list(document["checks"][0]) == ["name", "state", "found", "remedy"]
    assert list(document["modes"][0]) == ["mode", "works", "why", "hooks", "map_bytes"]


def test_without_capabilities_nothing_is_tried(host: Host) -> None:
    write(host.proc / "self/status", "CapEff:\t0000000000000000\n")
    diagnosis = examine(host, lambda _: pytest.fail("tried without capabilities"))
    assert [trial.works for trial in diagnosis.trials] == [None] * len(Mode)
    assert not diagnosis.ok
    assert "capabilities: " in diagnosis.text().partition("cannot run here")[2]


@pytest.mark.parametrize(
    ("effective", "state"), [(1 << 21, OK), (1 << 38 | 1 << 39, OK), (1 << 39, PROBLEM)]
)
def test_enough_capabilities(host: Host, effective: int, state: str) -> None:
    write(host.proc / "self/status", f"CapEff:\t{effective:016x}\n")
    assert found(host, "capabilities").state == state


def _confidentiality(host: Host) -> None:
    write(host.sys / "kernel/security/lockdown", "none integrity [confidentiality]\n")


def _no_btf(host: Host) -> None:
    (host.sys / "kernel/btf/vmlinux").unlink()


def _no_btf_but_headers(host: Host) -> None:
    _no_btf(host)
    (host.modules / "6.12.1/build").mkdir(parents=True)


def _no_kprobes(host: Host) -> None:
    (host.sys / "kernel/tracing/kprobe_events").unlink()


def _no_tracefs(host: Host) -> None:
    _no_kprobes(host)
    write(host.sys / "bus/event_source/devices/kprobe/type", "6\n")


def _no_jit(host: Host) -> None:
    write(host.proc / "sys/net/core/bpf_jit_enable", "0\n")


def _no_lockdown(host: Host) -> None:
    (host.sys / "kernel/security/lockdown").unlink()


@pytest.mark.parametrize(
    ("change", "name", "state", "remedy"),
    [
        (_confidentiality, "lockdown", PROBLEM, "lockdown=integrity"),
        (_no_lockdown, "lockdown", OK, ""),
        (_no_btf, "btf", NOTE, "CONFIG_DEBUG_INFO_BTF"),
        (_no_btf, "headers", PROBLEM, "apt-get install linux-headers-6.12.1"),
        (_no_btf_but_headers, "headers", OK, ""),
        (_no_tracefs, "kprobes", NOTE, "mount -t tracefs"),
        (_no_kprobes, "kprobes", NOTE, ""),
        (_no_jit, "jit", NOTE, "bpf_jit_enable=1"),
    ],
)
def test_what_is_missing_has_its_remedy(
    host: Host, change: Callable[[Host], None], name: str, state: str, remedy: str
) -> None:
    change(host)
    check = found(host, name)
    assert check.state == state
    assert remedy in check.remedy
    assert bool(remedy) == bool(check.remedy)


def test_other_architecture() -> None:
    host = Host(release="6.12.1", machine="riscv64")
    assert found(host, "kernel").state == PROBLEM


@pytest.mark.parametrize(
    ("error", "cause", "remedy"),
    [
        (LoadError("cannot be imported"), ImportError(), "apt-get install python3-bpfcc"),
        (LoadError("another package"), None, "pip uninstall bcc"),
        (OSError("libbcc.so.0: no such file"), None, "apt-get install python3-bpfcc"),
    ],
)
def test_bcc_missing_or_another(
    host: Host,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    cause: Exception | None,
    remedy: str,
) -> None:
    def refuse() -> None:
        raise error from cause

    monkeypatch.setattr(compiler, "import_bcc", refuse)
    check = found(host, "bcc")
    assert check.state == PROBLEM
    assert check.remedy.startswith(remedy)


def test_no_mode_works() -> None:
    diagnosis = Diagnosis((), tuple(Trial(mode.value, False, "refused") for mode in Mode))
    assert not diagnosis.ok
    assert diagnosis.verdict == "fdscope cannot run here: no attach mode works"


@pytest.mark.kernel
def test_real_machine_attaches_and_detaches() -> None:
    messages: list[str] = []
    diagnosis = doctor.examine(progress=messages.append)
    assert diagnosis.ok, diagnosis.text()
    assert messages == [f"trying {mode.value} mode" for mode in best_first()]
