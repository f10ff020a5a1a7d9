# SPDX-License-Identifier: GPL-2.0-only
"""Disks with a whole release: systemd, kernel and initramfs, all scripts run."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.vm.apt import Suite
from tests.vm.cache import source_hash
from tests.vm.command import LabError, run
from tests.vm.roots import MERGED_USR_HOOK

KERNEL = "linux-image-cloud-amd64"
KERNEL_PARTS = "linux-(base|binary|image|modules)"
"""Of the packages that it depends on: apt takes from backports only what is named."""
PACKAGES = (
    "ca-certificates", "curl", "dbus", "initramfs-tools", "iproute2", "kmod", "procps",
    "prometheus", "prometheus-alertmanager", "systemd-sysv", "udev",
)  # fmt: skip
CLOUD_PACKAGES = ("cloud-init", "openssh-server")
CLOUD_CONFIG = """\
datasource_list: [NoCloud]
network: {config: disabled}
apt: {preserve_sources_list: true}
locale: C.UTF-8
resize_rootfs: false
"""
"""Nothing comes over a network, no other locale is built, and the disk is full size already."""
GUEST = Path(__file__).parent / "guest"
DISK_SIZE = "3G"
UNWANTED = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
    "fstrim.timer", "man-db.timer", "systemd-networkd-wait-online.service",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Disk:
    """A release with systemd, and what the package depends on, ready to boot."""

    image: Path
    kernel: Path
    initrd: Path


def prepare_disk(suite: Suite, kernels: Suite, depends: str, *, cloud: bool = False) -> Disk:
    """Return the release's disk from the cache, building it (as root) if needed.

    Its kernel is that of the suite `kernels`. `depends` is the package's field of that name: apt
    brings all of it from the release. With `cloud` there is a cloud-init, which takes what a drive
    labelled cidata holds.
    """
    suite.refresh()
    kernels.refresh()
    kernel = [package.pin for package in kernels.closure(KERNEL, KERNEL_PARTS)]
    inputs = {
        "kernel": kernel,
        "depends": depends,
        "cloud": cloud,
        "recipe": source_hash(Path(__file__), GUEST / "service.service"),
    }

    def build(folder: Path) -> None:
        if os.geteuid() != 0:
            message = "building a guest's disk needs root: run the lab once as root"
            raise LabError(message)
        packages = [*PACKAGES, *kernel, *(CLOUD_PACKAGES if cloud else ())]
        with suite.progress.step(kernels.name, "building a disk with systemd"):
            _build(suite, _sources(suite, kernels), packages, depends, folder)

    name = f"{kernels.name}-cloud" if cloud else kernels.name
    folder = suite.cache.built("disks", name, inputs, build)
    return Disk(folder / "disk.img", folder / "vmlinuz", folder / "initrd.img")


def _sources(*suites: Suite) -> list[str]:
    lines = (line for suite in suites for line in suite.archive.sources(suite.name))
    return list(dict.fromkeys(lines))


def _build(
    suite: Suite, sources: Sequence[str], packages: Sequence[str], depends: str, folder: Path
) -> None:  # fmt: skip
    with suite.cache.scratch() as work:
        tree = work / "tree"
        tree.mkdir(mode=0o755)
        hooks = [f"--hook-dir={MERGED_USR_HOOK}"] if suite.name == "bookworm" else []
        wanted = f'chroot "$1" apt-get satisfy -q -y --no-install-recommends "{depends}"'
        command: list[str | Path] = [
            "mmdebstrap", "--mode=root", "--variant=apt", "--arch=amd64",
            '--aptopt=Apt::Install-Recommends "false"', f"--include={','.join(packages)}",
            *hooks, f"--customize-hook={wanted}", suite.name, tree, *sources,
        ]  # fmt: skip
        run(command, what=f"building the system of {suite.name}")
        _finish(tree)
        for source, target in (("vmlinuz", "vmlinuz"), ("initrd.img", "initrd.img")):
            (found,) = (tree / "boot").glob(f"{source}-*")
            found.rename(folder / target)
        image = folder / "disk.img"
        run(["mke2fs", "-q", "-t", "ext4", "-d", tree, image, DISK_SIZE], what="making a disk")


def _finish(tree: Path) -> None:
    (tree / "etc/fstab").write_text("/dev/vda / ext4 defaults 0 1\n")
    (tree / "etc/hostname").write_text("fdscope\n")
    (tree / "etc/hosts").write_text("127.0.0.1 localhost fdscope\n")
    (tree / "etc/machine-id").write_text("")
    (tree / "etc/apt/sources.list").write_text("")
    if (tree / "etc/cloud").exists():
        (tree / "etc/cloud/cloud.cfg.d/99-lab.cfg").write_text(CLOUD_CONFIG)
    for name in UNWANTED:
        (tree / "etc/systemd/system" / name).symlink_to("/dev/null")
    unit = tree / "etc/systemd/system/lab.service"
    unit.write_bytes((GUEST / "service.service").read_bytes())
    (unit.parent / "multi-user.target.wants/lab.service").symlink_to(unit.name)
