# SPDX-License-Identifier: GPL-2.0-only
"""Guests with systemd on a disk: the Debian package is installed there, and a reboot follows."""

import hashlib
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.vm import results
from tests.vm.cells import AMD64
from tests.vm.command import run, tail
from tests.vm.disks import GUEST, Disk, prepare_disk
from tests.vm.host import GOOD_QEMU, qemu_major
from tests.vm.lab import SHOWN_CONSOLE, Lab, Listener
from tests.vm.machine import BOARD, CLOCK, CPU, DIE_WITH_LAB, exit_status, read_log, watch
from tests.vm.package import build_older, depends, package_file


@dataclass(frozen=True, slots=True)
class Release:
    """A Debian release, the suite of its kernel, and its attach mode."""

    userland: str
    kernel: str
    mode: str


RELEASES = {
    "bookworm": Release("bookworm", "bookworm", "fentry"),
    "trixie": Release("trixie", "trixie", "fentry"),
    "trixie-backports": Release("trixie", "trixie-backports", "kprobe"),
}
FIRST_BOOT = "first-boot"
STORIES = ("service", FIRST_BOOT)
"""The scripts in guest/: by hand with a reboot, or by cloud-init alone."""
CMDLINE = f"root=/dev/vda rw console=ttyS0 panic=-1 nokaslr mitigations=off {CLOCK} quiet"
MEMORY = 2048


def check_service(lab: Lab, choice: str, story: str, limit: float) -> bool:
    """Run the story in a guest of this release; True on success."""
    name, release = f"{story}-{choice}", RELEASES[choice]
    folder = results.fresh_folder(lab.checkout, name)
    package = package_file(lab.checkout)
    cloud = story == FIRST_BOOT
    userland, kernels = lab.suite(release.userland, AMD64), lab.suite(release.kernel, AMD64)
    disk = prepare_disk(userland, kernels, depends(package), cloud=cloud)
    lab.progress.say(name, f"booting, limit {limit:.0f} s")
    with lab.cache.scratch() as work:
        drives = [f"file={disk.image},format=raw,if=virtio,snapshot=on"]
        payload = _payload(package, story, release.mode, work)
        drives.append(f"file={payload},format=raw,if=virtio,readonly=on")
        if cloud:
            drives.append(_seed(lab.checkout / "deploy/install/cloud-init.yaml", work))
        in_time = _boot(lab, name, disk, drives, folder, limit)
    status = exit_status(read_log(folder / "output.log"))
    passed = in_time and status == 0
    lab.progress.say(name, f"{'PASSED' if passed else 'FAILED'}: the guest's word is {status}")
    if not passed:
        console = tail(read_log(folder / "console.log"), SHOWN_CONSOLE)
        lab.progress.block(f"console of {name}", console)
    return passed


def _payload(package: Path, story: str, mode: str, work: Path) -> Path:
    """The archive for each boot of the guest: its story, the mode, the package and an older one."""
    shutil.copy(package, work / "current.deb")
    build_older(package, work / "older.deb", work)
    shutil.copy(GUEST / f"{story}.sh", work / "story.sh")
    (work / "mode").write_text(mode)
    payload = work / "payload.tar"
    parts = ["current.deb", "older.deb", "story.sh", "mode"]
    command: list[str | Path] = ["tar", "--create", "--file", payload, "-C", work, *parts]
    run([*command, "-C", GUEST, "checks.sh"], what="packing the payload")
    return payload


def _seed(user_data: Path, work: Path) -> str:
    """QEMU's option for a drive with the user-data, filled in as its comments ask."""
    folder = work / "seed"
    folder.mkdir()
    total = hashlib.sha256((work / "current.deb").read_bytes()).hexdigest()
    text = re.sub(
        r"(?m)url=\S+ # <-.*$", "url=file:///var/lib/lab/current.deb", user_data.read_text()
    )
    text = re.sub(r"(?m)sum=0+ # <-.*$", f"sum={total}", text)
    (folder / "user-data").write_text(text)
    (folder / "meta-data").write_text("instance-id: lab\n")
    return f"driver=raw,file.driver=vvfat,file.dir={folder},file.label=cidata,if=virtio,readonly=on"


def _cpus() -> int:
    """Two processors, or one where QEMU is so old that it crashes guests that have two."""
    return 2 if qemu_major(AMD64) >= GOOD_QEMU else 1


def _boot(
    lab: Lab, name: str, disk: Disk, drives: Sequence[str], folder: Path, limit: float
) -> bool:  # fmt: skip
    """Run QEMU to its end; True if it ended in time. The disk itself is not written to."""
    output, listener = folder / "output.log", Listener(lab.progress, name, verbose=True)
    command = [
        *DIE_WITH_LAB, "qemu-system-x86_64", "-machine", BOARD["amd64"],
        "-accel", "tcg,thread=multi", "-cpu", CPU["amd64"], "-smp", str(_cpus()),
        "-m", f"{MEMORY}M", "-nodefaults", "-no-user-config", "-display", "none",
        "-kernel", str(disk.kernel), "-initrd", str(disk.initrd), "-append", CMDLINE,
        *(word for drive in drives for word in ("-drive", drive)),
        "-serial", f"file:{folder / 'console.log'}", "-serial", f"file:{output}",
    ]  # fmt: skip
    with (
        (folder / "qemu.log").open("wb") as log,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            return watch(process, output, limit, listener.hear)
        finally:
            process.kill()
