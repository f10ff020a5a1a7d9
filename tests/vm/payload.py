# SPDX-License-Identifier: GPL-2.0-only
"""The content of a guest beside its userland: the checkout, test programs, the command."""

from dataclasses import dataclass
from pathlib import Path

from tests.scorecard import programs
from tests.vm.cells import Cell
from tests.vm.command import run
from tests.vm.cpio import CpioWriter

CHECKOUT = "opt/fdscope"
INIT = Path(__file__).parent / "guest/init"
LAUNCHER = """\
#!/usr/bin/python3
import sys

from fdscope.exporter.cli.main import main

sys.exit(main())
"""
PORTS = {
    "amd64": "CONSOLE=/dev/ttyS0\nOUT=/dev/ttyS1\nREPORTS=/dev/ttyS2\n",
    "arm64": "CONSOLE=/dev/ttyAMA0\nOUT=/dev/hvc0\nREPORTS=/dev/hvc1\n",
}


@dataclass(frozen=True, slots=True)
class Payload:
    """The guest's part of a cell; `script` is run by a shell in the checkout."""

    checkout: Path
    cell: Cell
    script: str

    def write(self, target: Path, work: Path) -> None:
        """Write the archive to `target`; programs are compiled in the folder `work`."""
        with target.open("wb") as stream:
            archive = CpioWriter(stream)
            archive.file("init", INIT.read_bytes(), 0o755)
            archive.file("lab/ports", PORTS[self.cell.arch.debian].encode())
            archive.file("lab/command", self.script.encode())
            if self.cell.headers:
                archive.file("lab/hide-btf", b"")
            archive.file("usr/local/bin/fdscope", LAUNCHER.encode(), 0o755)
            self._add_checkout(archive)
            self._add_workloads(archive, work)
            archive.close()

    def _add_checkout(self, archive: CpioWriter) -> None:
        listing = run(
            ["git", "ls-files", "-z", "-c", "-o", "--exclude-standard"],
            what="listing the checkout",
            cwd=self.checkout,
        )
        for name in sorted(filter(None, listing.split("\0"))):
            source = self.checkout / name
            if source.is_symlink() or source.exists():
                archive.path(source, f"{CHECKOUT}/{name}")

    def _add_workloads(self, archive: CpioWriter, work: Path) -> None:
        """Compile the test programs, static, so that they run on every userland."""
        arch = self.cell.arch
        for source in programs.sources(arch.machine):
            program = work / source.stem
            command = programs.command(source, program, arch.compiler)
            run(command, what=f"compiling {source.name}")
            archive.path(program, f"{CHECKOUT}/build/workloads/{source.stem}")
