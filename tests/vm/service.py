# SPDX-License-Identifier: GPL-2.0-only
"""Guests with systemd on a disk: the Debian package is installed there, and a reboot follows."""

import shutil
import subprocess
from pathlib import Path

from tests.vm import results
from tests.vm.cells import AMD64
from tests.vm.command import run, tail
from tests.vm.disks import GUEST, Disk, prepare_disk
from tests.vm.host import GOOD_QEMU, qemu_major
from tests.vm.lab import SHOWN_CONSOLE, Lab, Listener
from tests.vm.machine import BOARD, CLOCK, CPU, DIE_WITH_LAB, exit_status, read_log, watch
from tests.vm.package import build_older, depends, package_file

RELEASES = ("bookworm", "trixie")
CMDLINE = f"root=/dev/vda rw console=ttyS0 panic=-1 nokaslr mitigations=off {CLOCK} quiet"
MEMORY = 2048


def check_service(lab: Lab, release: str, limit: float) -> bool:
    """Install, reboot, look, remove in a guest of this release; whether all went well."""
    name = f"service-{release}"
    folder = results.fresh_folder(lab.checkout, name)
    package = package_file(lab.checkout)
    disk = prepare_disk(lab.suite(release, AMD64), depends(package))
    lab.progress.say(name, f"booting, limit {limit:.0f} s")
    with lab.cache.scratch() as work:
        payload = _payload(package, work)
        in_time = _boot(lab, name, disk, payload, folder, limit)
    status = exit_status(read_log(folder / "output.log"))
    passed = in_time and status == 0
    lab.progress.say(name, f"{'PASSED' if passed else 'FAILED'}: the guest's word is {status}")
    if not passed:
        console = tail(read_log(folder / "console.log"), SHOWN_CONSOLE)
        lab.progress.block(f"console of {name}", console)
    return passed


def _payload(package: Path, work: Path) -> Path:
    """What the guest unpacks at each boot: its script, the package and an older one."""
    shutil.copy(package, work / "current.deb")
    build_older(package, work / "older.deb", work)
    payload = work / "payload.tar"
    parts: list[str | Path] = ["-C", work, "current.deb", "older.deb", "-C", GUEST, "service.sh"]
    run(["tar", "--create", "--file", payload, *parts], what="packing the payload")
    return payload


def _cpus() -> int:
    """Two processors, or one where QEMU is so old that it crashes guests that have two."""
    return 2 if qemu_major(AMD64) >= GOOD_QEMU else 1


def _boot(
    lab: Lab, name: str, disk: Disk, payload: Path, folder: Path, limit: float
) -> bool:  # fmt: skip
    """Run QEMU to its end; whether that came in time. The disk itself is not written to."""
    output, listener = folder / "output.log", Listener(lab.progress, name, verbose=True)
    command = [
        *DIE_WITH_LAB, "qemu-system-x86_64", "-machine", BOARD["amd64"],
        "-accel", "tcg,thread=multi", "-cpu", CPU["amd64"], "-smp", str(_cpus()),
        "-m", f"{MEMORY}M", "-nodefaults", "-no-user-config", "-display", "none",
        "-kernel", str(disk.kernel), "-initrd", str(disk.initrd), "-append", CMDLINE,
        "-drive", f"file={disk.image},format=raw,if=virtio,snapshot=on",
        "-drive", f"file={payload},format=raw,if=virtio,readonly=on",
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
