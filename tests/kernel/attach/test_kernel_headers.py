# SPDX-License-Identifier: GPL-2.0-only
"""The substitutes for structs that no installed header has, against the kernel's own BTF."""

import re

import pytest

from fdscope.probes.attach.source import BPF_DIR
from fdscope.probes.kernel.btf import VMLINUX, Btf
from tests.scorecard.runner import kernel_version

pytestmark = pytest.mark.skipif(not VMLINUX.exists(), reason="this kernel shows no BTF")

_OFFSET = re.compile(r"^#define OFFSET_(proc_inode)_(\w+) (\d+)$", re.MULTILINE)


def test_offsets() -> None:
    btf = Btf.read()
    stated = _OFFSET.findall((BPF_DIR / "core/kernel_headers.h").read_text())
    assert [field for _, field, _ in stated] == ["pid", "vfs_inode"]
    assert [int(n) for *_, n in stated] == [btf.offset(name, field) for name, field, _ in stated]


@pytest.mark.skipif(kernel_version() < (6, 0), reason="it is used since Linux 6.0")
def test_flags_of_an_io_uring_receive() -> None:
    pointers, numbers = 2 * 8, 2 * 4
    assert Btf.read().offset("io_sr_msg", "msg_flags") == pointers + numbers
