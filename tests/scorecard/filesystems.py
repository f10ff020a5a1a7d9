# SPDX-License-Identifier: GPL-2.0-only
"""Scenarios of files on several filesystems."""

from tests.scorecard.model import COPY_FILE_RANGE, Scenario

_KINDS = (
    ("read and write", "plain", 1_000_000),
    ("appending", "append", 200_000),
    ("pread, preadv, preadv2 and the like", "positioned", 300_000),
    ("direct I/O", "direct", 1_000_000),
    ("copy_file_range", "copy-range", 500_000),
)
_FILESYSTEMS = ("ext4", "tmpfs", "overlay")

_ON_EACH = tuple(
    Scenario(
        f"{'overlayfs' if place == 'overlay' else place}, {name}",
        ("files", kind, amount, f"{{{place}}}/file"),
        blind=(COPY_FILE_RANGE,) if kind == "copy-range" else (),
    )
    for place in _FILESYSTEMS
    for name, kind, amount in _KINDS
)

FILESYSTEMS: tuple[Scenario, ...] = (
    *_ON_EACH,
    Scenario("overlayfs, a file copied up", ("files", "copy-up", "100000", "{overlay}/below")),
    Scenario("/proc, read and write", ("files", "proc", 100, "-")),
    Scenario("block device", ("files", "block", 2_000_000, "{ext4_block}")),
    Scenario("block device, direct I/O", ("files", "block-direct", 500_000, "{ext4_block}")),
    Scenario(
        "mmap",
        ("files", "mapped", 400_000, "{tmpfs}/mapped"),
        about="loads and stores are no operations: only the one write() is to be counted",
    ),
)
