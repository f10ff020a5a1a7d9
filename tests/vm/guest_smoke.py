# SPDX-License-Identifier: GPL-2.0-only
"""The lab's test of itself: pytest runs it in a guest, to see that the guest is complete."""

import importlib
import os
import subprocess
from pathlib import Path

import pytest

BTF = Path("/sys/kernel/btf/vmlinux")
HEADERS_CELL = "headers"
pytestmark = pytest.mark.skipif("FDSCOPE_VM_CELL" not in os.environ, reason="runs in a guest")


@pytest.mark.parametrize("name", ["bcc", "numpy", "prometheus_client", "hypothesis"])
def test_python_package_is_there(name: str) -> None:
    """What the product and its tests import comes with the userland."""
    assert importlib.import_module(name)


@pytest.mark.parametrize(
    "mark",
    [
        "/sys/kernel/tracing/available_filter_functions",
        "/sys/kernel/debug/tracing",
        "/sys/fs/cgroup/cgroup.procs",
        "/sys/fs/bpf",
        "/proc/self/fdinfo",
        "/dev/pts/ptmx",
        "/dev/shm",  # noqa: S108 - looked at, not written to
    ],
)
def test_kernel_file_system_is_mounted(mark: str) -> None:
    """The file systems that programs of the kernel are reached through."""
    assert Path(mark).exists()


@pytest.mark.parametrize("name", ["loop", "overlay", "ext4", "sctp", "veth", "tun"])
def test_module_loads(name: str) -> None:
    """The modules that tests need are in the guest, with what they depend on."""
    subprocess.run(["modprobe", name], check=True, capture_output=True)


def test_btf_or_headers() -> None:
    """Kernel headers are absent and BTF is there, but for the cell that swaps them."""
    headers = Path("/lib/modules", os.uname().release, "build/include").exists()
    swapped = os.environ["FDSCOPE_VM_CELL"] == HEADERS_CELL
    assert (BTF.exists(), headers) == (not swapped, swapped)
