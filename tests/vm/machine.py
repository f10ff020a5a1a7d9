# SPDX-License-Identifier: GPL-2.0-only
"""Boots a guest under QEMU's software emulation and waits for its result."""

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.vm.cells import AMD64, Arch, Cell
from tests.vm.results import describe_status

POLL_SECONDS = 0.5
DIE_WITH_LAB = ("setpriv", "--pdeathsig", "KILL")
EXIT_LINE = re.compile(r"^@@EXIT (\d+)\s*$", re.MULTILINE)
CLOCK = "clocksource=acpi_pm no_timer_check"
"""Not the TSC: a guest that boots while its host is busy measures it wrong, and its clock runs
several times too fast. Nor does the kernel try its timer: there it comes too late."""
CMDLINE = f"console={{console}} rdinit=/init panic=-1 {{quiet}} nokaslr mitigations=off {CLOCK}"
CPU = {
    "amd64": "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+rdtscp,+pdpe1gb",
    "arm64": "cortex-a57",
}
ACCELERATION = ("-accel", "tcg,thread=multi")
COUNTED = ("-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off")
"""The guest's clock advances by a nanosecond an instruction, whatever the host does."""
BOARD = {"amd64": "pc", "arm64": "virt,gic-version=3"}
CONSOLE = {"amd64": "ttyS0", "arm64": "ttyAMA0"}


@dataclass(frozen=True, slots=True)
class Guest:
    """A machine about to be booted; its logs go to `folder`."""

    cell: Cell
    cpus: int
    image: Path
    initrd: Path
    folder: Path
    counted: bool = False
    """Its clock counts instructions."""

    @property
    def console(self) -> Path:
        """The kernel's messages."""
        return self.folder / "console.log"

    @property
    def output(self) -> Path:
        """What the guest's command writes, and the lines that start with @@."""
        return self.folder / "output.log"

    @property
    def reports(self) -> Path:
        """A tar archive of the guest's /reports."""
        return self.folder / "reports.tar"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a boot: `status` is that of the guest's command, None without one."""

    status: int | None
    seconds: float
    why: str

    @property
    def passed(self) -> bool:
        """True if the guest reported success."""
        return self.status == 0


def join_archives(archives: Sequence[Path], target: Path) -> None:
    """Write the archives one after the other: together they are one initramfs."""
    with target.open("wb") as stream:
        for archive in archives:
            with archive.open("rb") as source:
                shutil.copyfileobj(source, stream, 1 << 22)


def result_ports(guest: Guest, arch: Arch) -> list[str]:
    """Return QEMU's options for the ports of output and reports."""
    if arch == AMD64:
        return ["-serial", f"file:{guest.output}", "-serial", f"file:{guest.reports}"]
    options = ["-device", "virtio-serial-pci"]
    for name, path in (("out", guest.output), ("reports", guest.reports)):
        options += ["-chardev", f"file,id={name},path={path}"]
        options += ["-device", f"virtconsole,chardev={name}"]
    return options


def qemu_command(guest: Guest, *, interactive: bool) -> list[str]:
    """Return the QEMU command line; interactive puts the console on standard input."""
    arch = guest.cell.arch
    name = arch.debian
    quiet = "quiet" if guest.cell.arch == AMD64 or interactive else ""
    return [
        f"qemu-system-{arch.machine}",
        *("-machine", BOARD[name], "-cpu", CPU[name]),
        *(COUNTED if guest.counted else ACCELERATION),
        *("-smp", str(guest.cpus), "-m", f"{guest.cell.memory}M"),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-kernel", str(guest.image), "-initrd", str(guest.initrd)),
        *("-append", CMDLINE.format(console=CONSOLE[name], quiet=quiet)),
        *("-serial", "mon:stdio" if interactive else f"file:{guest.console}"),
        *result_ports(guest, arch),
    ]


def read_log(path: Path) -> str:
    """Return a log's text, empty if there is none; odd bytes are replaced."""
    return path.read_text(errors="replace").replace("\r", "") if path.exists() else ""


def exit_status(output: str) -> int | None:
    """Return the status in the last exit line, None if the guest wrote none."""
    found = EXIT_LINE.findall(output)
    return int(found[-1]) if found else None


def watch(
    process: subprocess.Popen[bytes], output: Path, limit: float, tell: Callable[[str], None]
) -> bool:
    """Wait for QEMU, passing new output on; end it after `limit` seconds and return False."""
    deadline = time.monotonic() + limit
    shown = 0
    while True:
        ended = process.poll() is not None
        text = read_log(output)
        tell(text[shown:])
        shown = len(text)
        if ended:
            return True
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
            return False
        time.sleep(POLL_SECONDS)


def boot(guest: Guest, limit: float, tell: Callable[[str], None]) -> Outcome:
    """Boot a guest and wait at most `limit` seconds for it; `tell` gets its output as it comes."""
    began = time.monotonic()
    errors = guest.folder / "qemu.log"
    with (
        errors.open("wb") as log,
        subprocess.Popen(
            [*DIE_WITH_LAB, *qemu_command(guest, interactive=False)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            in_time = watch(process, guest.output, limit, tell)
        finally:
            process.kill()
    seconds = time.monotonic() - began
    status = exit_status(read_log(guest.output))
    if status is not None:
        return Outcome(status, seconds, describe_status(status))
    if not in_time:
        return Outcome(None, seconds, f"no end: stopped after its limit of {limit:.0f} s")
    if process.returncode != 0:
        return Outcome(None, seconds, f"QEMU failed: {read_log(errors).strip()}")
    return Outcome(None, seconds, "the guest died before its command ended: see its console")


def attend(guest: Guest) -> int:
    """Boot a guest with its console on this terminal and return QEMU's exit status."""
    return subprocess.run(qemu_command(guest, interactive=True), check=False).returncode
