# SPDX-License-Identifier: GPL-2.0-only
"""Puts a cell together, boots it and brings its results back."""

import tarfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.vm import results
from tests.vm.apt import Suite
from tests.vm.archive import Archive
from tests.vm.cache import Cache
from tests.vm.cells import Arch, Cell
from tests.vm.command import LabError, tail
from tests.vm.host import GOOD_QEMU, qemu_major
from tests.vm.kernels import Kernel, prepare_kernel
from tests.vm.machine import Guest, Outcome, attend, boot, join_archives, read_log
from tests.vm.payload import Payload
from tests.vm.progress import Progress
from tests.vm.requirements import guest_requirements
from tests.vm.results import Result
from tests.vm.roots import Root, prepare_root

SIDE_BY_SIDE = 2
BOOT_LIMIT = 180
SHOWN_CONSOLE = 400
SHOWN_OUTPUT = 120


@dataclass(frozen=True, slots=True)
class Job:
    """A script for the guest of a cell, in an attach mode; its limit in seconds, boot included.

    ``counted``: the guest's clock counts instructions.
    """

    cell: Cell
    mode: str
    script: str
    limit: float
    counted: bool = False

    @property
    def name(self) -> str:
        """The name of its results' folder."""
        return f"{self.cell.name}-{self.mode}"


@dataclass(slots=True)
class Listener:
    """Turns a guest's output into progress lines; with `verbose` shows all of it."""

    progress: Progress
    name: str
    verbose: bool
    rest: str = field(default="")

    def hear(self, text: str) -> None:
        """Take more output; a line is shown once it is whole."""
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            if line.startswith("@@") or self.verbose:
                self.progress.say(self.name, line.removeprefix("@@"))


@dataclass(frozen=True, slots=True)
class Lab:
    """The checkout under test and the means to boot guests with it."""

    checkout: Path
    archive: Archive
    cache: Cache
    progress: Progress
    verbose: bool = False

    def suite(self, name: str, arch: Arch) -> Suite:
        """Return a suite of the archive."""
        return Suite(self.archive, self.cache, self.progress, name, arch)

    def prepare(self, cell: Cell) -> tuple[Kernel, Root]:
        """Return the kernel and the userland of a cell, built if they are not cached."""
        suite = self.suite(cell.kernel, cell.arch)
        kernel = prepare_kernel(suite, cell.flavour, headers=cell.headers)
        wanted = guest_requirements(self.checkout)
        return kernel, prepare_root(self.suite(cell.root, cell.arch), wanted)

    def run_all(self, jobs: Sequence[Job]) -> list[Result]:
        """Run jobs, two at a time, and return their results in the same order."""
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            return list(pool.map(self.run, jobs))

    def run(self, job: Job) -> Result:
        """Run one job; a step that fails gives a failed result."""
        folder = results.fresh_folder(self.checkout, job.name)
        blank = Result(job.cell.name, job.mode, passed=False, why="", arch=job.cell.arch.debian)
        try:
            result = self._run(job, folder, blank)
        except LabError as error:
            result = replace(blank, why=str(error))
        result.write(folder)
        word = "PASSED" if result.passed else "FAILED"
        self.progress.say(job.name, f"{word} after {result.seconds:.1f} s: {result.why}")
        return result

    def _run(self, job: Job, folder: Path, blank: Result) -> Result:
        listener = Listener(self.progress, job.name, self.verbose)
        kernel, root = self.prepare(job.cell)
        said = f"booting {kernel.release} with BCC {root.bcc}, limit {job.limit:.0f} s"
        self.progress.say(job.name, said)

        def start(guest: Guest) -> Outcome:
            return boot(guest, job.limit, listener.hear)

        guest, outcome = self._with_guest(job, folder, kernel, root, start)
        output = read_log(guest.output)
        if not outcome.passed:
            self._show(job.name, guest, outcome)
        damage = self._take_reports(guest, folder)
        return replace(
            blank,
            passed=outcome.passed and not damage,
            why=outcome.why + damage,
            kernel=kernel.release,
            bcc=root.bcc,
            cpus=guest.cpus,
            seconds=round(outcome.seconds, 1),
            boot_seconds=results.boot_seconds(output),
        )

    def _with_guest(
        self,
        job: Job,
        folder: Path,
        kernel: Kernel,
        root: Root,
        use: Callable[[Guest], Outcome],
    ) -> tuple[Guest, Outcome]:
        """Lay out a guest's initramfs, hand the guest to `use`, then drop the initramfs."""
        with self.cache.scratch() as work:
            payload, initrd = work / "payload.cpio", work / "initrd.cpio"
            Payload(self.checkout, job.cell, job.script).write(payload, work)
            join_archives([root.archive, *kernel.archives, payload], initrd)
            cpus = 1 if job.counted else self._cpus(job.cell)
            guest = Guest(job.cell, cpus, kernel.image, initrd, folder, job.counted)
            return guest, use(guest)

    def _take_reports(self, guest: Guest, folder: Path) -> str:
        """Copy a guest's reports to a folder and return what is wrong with them, or ""."""
        try:
            results.unpack_reports(guest.reports, folder)
        except tarfile.TarError as error:
            return f"; its reports came back damaged: {error}"
        return ""

    def _cpus(self, cell: Cell) -> int:
        """Return the number of processors: an old QEMU crashes guests that have two."""
        if cell.cpus > 1 and qemu_major(cell.arch) < GOOD_QEMU:
            self.progress.say(cell.name, f"one processor only: QEMU is older than {GOOD_QEMU}")
            return 1
        return cell.cpus

    def _show(self, name: str, guest: Guest, outcome: Outcome) -> None:
        """Print the logs of a guest that did not pass."""
        self.progress.block(f"output of {name}", tail(read_log(guest.output), SHOWN_OUTPUT))
        if outcome.status is None:
            self.progress.block(f"console of {name}", tail(read_log(guest.console), SHOWN_CONSOLE))

    def shell(self, job: Job) -> int:
        """Give the guest's console to this terminal and return QEMU's exit status."""
        folder = results.fresh_folder(self.checkout, job.name)
        kernel, root = self.prepare(job.cell)
        said = f"booting {kernel.release}; leave with exit, or Ctrl-A X"
        self.progress.say(job.name, said)

        def start(guest: Guest) -> Outcome:
            return Outcome(attend(guest), 0.0, "the shell was left")

        guest, outcome = self._with_guest(job, folder, kernel, root, start)
        self._take_reports(guest, folder)
        return outcome.status or 0
