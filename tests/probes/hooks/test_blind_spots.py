# SPDX-License-Identifier: GPL-2.0-only
"""Blind spots: each says what and why, and is listed only on the kernels that have it."""

from pathlib import Path

import pytest

from fdscope.probes.hooks.blind_spots import BLIND_SPOTS, of
from fdscope.probes.kernel.host import Host
from fdscope.probes.schema.taxonomy import Mode

SOCKET_TRACEPOINT = "0000000000000000 T __traceiter_sock_send_length\n"


def host(
    proc: Path, release: str = "6.18.1", machine: str = "x86_64", version: str = "#1 SMP",
    symbols: str | None = SOCKET_TRACEPOINT,
) -> Host:  # fmt: skip
    """A machine with this kernel."""
    if symbols is not None:
        (proc / "kallsyms").write_text(symbols)
    return Host(proc=proc, sys=proc, boot=proc, modules=proc,
                release=release, version=version, machine=machine)  # fmt: skip


def has(mode: Mode, host: Host, begins: str) -> bool:
    """True if a blind spot whose text begins so is listed; it must be one of the mode."""
    assert any(spot.what.startswith(begins) for spot in BLIND_SPOTS[mode]), begins
    return any(spot.what.startswith(begins) for spot in of(mode, host))


@pytest.mark.parametrize("mode", Mode)
def test_each_says_what_and_why(mode: Mode) -> None:
    spots = BLIND_SPOTS[mode]
    assert len({spot.what for spot in spots}) == len(spots) > 5
    assert all(spot.what and spot.why for spot in spots)
    assert any("io_uring" in spot.what for spot in spots)
    assert any("already waiting" in spot.what for spot in spots) is (mode is not Mode.TRACEPOINT)


@pytest.mark.parametrize(
    ("mode", "begins", "releases"),
    [
        (Mode.FENTRY, "before Linux 6.6 the time", {"5.10.0", "6.1.0-56-cloud", "6.5"}),
        (Mode.FENTRY, "copy_file_range on Linux 5.10", {"5.10.0"}),
        (Mode.KPROBE, "up to Linux 6.11 all but the last", {"6.1.0-56-cloud", "6.5", "6.11.2"}),
        (Mode.KPROBE, "before Linux 6.14, calls beyond 4096",
         {"5.10.0", "6.1.0-56-cloud", "6.5", "6.11.2"}),
        (Mode.KPROBE, "before Linux 5.15, the call chains", {"5.10.0"}),
        (Mode.TRACEPOINT, "before Linux 5.19 all of io_uring", {"5.10.0"}),
        (Mode.TRACEPOINT, "splice and tee by io_uring",
         {"6.1.0-56-cloud", "6.5", "6.11.2", "6.18.1", "7.3-rc1"}),
    ],
)  # fmt: skip
def test_a_version_decides(mode: Mode, begins: str, releases: set[str], tmp_path: Path) -> None:
    all_releases = ("5.10.0", "6.1.0-56-cloud", "6.5", "6.11.2", "6.18.1", "7.3-rc1")
    assert {r for r in all_releases if has(mode, host(tmp_path, r), begins)} == releases


def test_a_release_that_is_no_version_has_those_of_old_kernels(tmp_path: Path) -> None:
    assert has(Mode.KPROBE, host(tmp_path, "custom"), "before Linux 6.14")


@pytest.mark.parametrize(
    ("mode", "begins", "on"),
    [
        (Mode.FENTRY, "how an fd of a 32-bit program on arm64", {"aarch64"}),
        (Mode.KPROBE, "on arm64 since Linux 7.0", {"aarch64"}),
        (Mode.TRACEPOINT, "32-bit programs on arm64", {"aarch64"}),
        (Mode.TRACEPOINT, "x32 programs", {"x86_64"}),
    ],
)
def test_the_machine_decides(mode: Mode, begins: str, on: set[str], tmp_path: Path) -> None:
    machines = ("x86_64", "aarch64")
    assert {m for m in machines if has(mode, host(tmp_path, "7.1.0", m), begins)} == on


@pytest.mark.parametrize(
    ("symbols", "listed"), [(SOCKET_TRACEPOINT, False), ("0 T vfs_read\n", True), (None, True)]
)
@pytest.mark.parametrize(
    ("mode", "begins"),
    [(Mode.FENTRY, "at the socket layer of a kernel"), (Mode.KPROBE, "at the socket layer of a"),
     (Mode.TRACEPOINT, "the socket layer of a kernel")],
)  # fmt: skip
def test_the_tracepoints_of_the_socket_layer_decide(
    mode: Mode, begins: str, symbols: str | None, listed: bool, tmp_path: Path
) -> None:
    assert has(mode, host(tmp_path, symbols=symbols), begins) is listed


@pytest.mark.parametrize("mode", [Mode.FENTRY, Mode.TRACEPOINT])
def test_preemption_decides(mode: Mode, tmp_path: Path) -> None:
    begins = "where tasks preempt the kernel"
    assert has(mode, host(tmp_path, version="#1 SMP PREEMPT"), begins)
    assert not has(mode, host(tmp_path, version="#1 SMP"), begins)
