# SPDX-License-Identifier: GPL-2.0-only
"""Chooses the kernel modules that the tests load, with their dependencies.

The list has checksums that filesystems request by name: they are no dependencies.
"""

import shutil
from pathlib import Path

from tests.vm.command import LabError, run

WANTED = (
    "af_packet",
    "algif_hash",
    "blake2b_generic",
    "br_netfilter",
    "bridge",
    "btrfs",
    "crc32c_generic",
    "dummy",
    "ext4",
    "fuse",
    "inet_diag",
    "isofs",
    "kcm",
    "l2tp_ip",
    "loop",
    "netlink_diag",
    "nfs",
    "nfsd",
    "overlay",
    "raw_diag",
    "sctp",
    "sctp_diag",
    "sha256_generic",
    "tcp_diag",
    "tls",
    "tun",
    "udp_diag",
    "unix_diag",
    "veth",
    "virtio_console",
    "vsock",
    "vsock_loopback",
    "xfs",
    "xxhash_generic",
)


def module_name(path: str) -> str:
    """Return the name of a module file as the kernel has it."""
    return Path(path).name.partition(".ko")[0].replace("-", "_")


def dependencies(listing: str) -> dict[str, list[str]]:
    """Read modules.dep: for each module file the files it depends on."""
    rows = (line.partition(":") for line in listing.splitlines())
    return {path: needs.split() for path, _, needs in rows}


def chosen(listing: str, wanted: tuple[str, ...] = WANTED) -> set[str]:
    """Return the files in modules.dep that the wanted modules are made of.

    A wanted module that is not listed is built into this kernel or unknown to it.
    """
    needs = dependencies(listing)
    first = [path for path in needs if module_name(path) in wanted]
    return {path for top in first for path in (top, *needs[top])}


def prune(tree: Path, release: str) -> None:
    """Leave only the chosen modules below `tree`/lib/modules/`release`."""
    folder = tree / "lib/modules" / release
    run(["depmod", "-b", tree, release], what=f"indexing the modules of {release}")
    keep = chosen((folder / "modules.dep").read_text())
    if not keep:
        message = f"{release} has none of the modules that the tests load"
        raise LabError(message)
    for path in folder.rglob("*.ko*"):
        if str(path.relative_to(folder)) not in keep:
            path.unlink()
    for name in ("vmlinuz", "vdso"):
        _remove(folder / name)
    run(["depmod", "-b", tree, release], what=f"indexing the chosen modules of {release}")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
