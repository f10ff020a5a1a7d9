# SPDX-License-Identifier: GPL-2.0-only
"""Command line of the lab: run, service, shell, list, table."""

import argparse
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.paths import ROOT as CHECKOUT
from tests.vm.archive import find_archive
from tests.vm.cache import Cache, cache_folder
from tests.vm.cells import AMD64, CELLS, MODES, Cell
from tests.vm.command import LabError, MissingMeansError
from tests.vm.host import Host
from tests.vm.kernels import kernel_version
from tests.vm.lab import BOOT_LIMIT, SIDE_BY_SIDE, Job, Lab
from tests.vm.progress import Progress
from tests.vm.results import results_folder
from tests.vm.service import RELEASES, STORIES, check_service
from tests.vm.suite import guest_script, pytest_command, pytest_target, shell_command
from tests.vm.table import render

REQUIRE = "FDSCOPE_REQUIRE_VM"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="python3 -m tests.vm", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="boot kernels and run the tests inside")
    run.add_argument("kernels", nargs="+", metavar="KERNEL", help="cell, version or all")
    run.add_argument("--modes", type=modes_named, default=MODES, metavar="MODE,...")
    run.add_argument("--limit", type=int, help="seconds for each mode")
    run.add_argument("--smoke", action="store_true", help="run the lab's test of itself")
    run.add_argument("--script", help="run this shell command in place of the tests")
    run.add_argument(
        "--counted", action="store_true", help="one processor, whose clock counts instructions"
    )
    run.add_argument("-v", "--verbose", action="store_true", help="show the guests' output")
    run.add_argument("--pytest", action="append", default=[], metavar="ARGUMENT")
    shell = commands.add_parser("shell", help="boot a kernel and open a shell in it")
    shell.add_argument("kernels", nargs=1, metavar="KERNEL")
    service = commands.add_parser("service", help="install the Debian package under systemd")
    service.add_argument("releases", nargs="+", choices=RELEASES, metavar="RELEASE")
    service.add_argument("--story", choices=STORIES, default=STORIES[0], help="a script in guest/")
    service.add_argument("--limit", type=int, default=1500, help="seconds for each")
    listing = commands.add_parser("list", help="show the matrix")
    listing.add_argument("--versions", action="store_true", help="ask the archive for versions")
    table = commands.add_parser("table", help="render the cells' reports as Markdown")
    table.add_argument("--out", type=Path, help="file to write in place of standard output")
    return top


def modes_named(text: str) -> tuple[str, ...]:
    """Read the attach modes of the command line."""
    named = tuple(text.split(","))
    if not set(named) <= set(MODES):
        message = f"choose from {','.join(MODES)}"
        raise argparse.ArgumentTypeError(message)
    return named


def make_lab(environ: Mapping[str, str], *, verbose: bool = False) -> Lab:
    """Return the lab for this checkout; MissingMeansError if there is no archive."""
    cache = Cache(cache_folder(environ))
    return Lab(CHECKOUT, find_archive(environ), cache, Progress(), verbose)


def select(lab: Lab, wanted: Sequence[str]) -> list[Cell]:
    """Return the cells of these names; a version stands for the first kernel that has it."""
    if "all" in wanted:
        return list(CELLS)
    named = {cell.name: cell for cell in CELLS}
    return [named[name] if name in named else by_version(lab, name) for name in wanted]


def by_version(lab: Lab, version: str) -> Cell:
    """Return the first cell whose kernel has this version, such as 7.3."""
    for cell in CELLS:
        if f"{version_of(lab, cell)}.".startswith(f"{version}."):
            return cell
    message = f"no kernel {version}; there are: {', '.join(cell.name for cell in CELLS)}"
    raise LabError(message)


def version_of(lab: Lab, cell: Cell) -> str:
    """Return the upstream version of a cell's kernel, such as 6.12.95."""
    suite = lab.suite(cell.kernel, cell.arch)
    suite.refresh()
    return kernel_version(suite, cell.flavour).partition("-")[0]


def jobs_for(cell: Cell, arguments: argparse.Namespace) -> list[Job]:
    """Return the jobs of the command line for a cell: a guest for each of its modes."""
    limit = arguments.limit or cell.limit
    command = arguments.script or pytest_command(
        [pytest_target(CHECKOUT, smoke=arguments.smoke), *arguments.pytest]
    )
    return [
        Job(
            cell,
            mode,
            guest_script(cell, mode, limit, command),
            BOOT_LIMIT + limit,
            arguments.counted,
        )
        for mode in cell.modes
        if mode in arguments.modes
    ]


def run(arguments: argparse.Namespace) -> int:
    """Run cells; the status is 1 if one of them failed."""
    lab = make_lab(os.environ, verbose=arguments.verbose)
    cells = select(lab, arguments.kernels)
    Host(lab.archive, lab.progress, lab.cache.folder / "apt/host").ensure(
        {cell.arch for cell in cells}
    )
    jobs = [job for cell in cells for job in jobs_for(cell, arguments)]
    if not jobs:
        message = f"none of these cells has a mode of {','.join(arguments.modes)}"
        raise LabError(message)
    outcomes = lab.run_all(jobs)
    failed = [job.name for job, result in zip(jobs, outcomes, strict=True) if not result.passed]
    counts = f"{len(jobs) - len(failed)} passed, {len(failed)} failed"
    lab.progress.say("lab", f"{counts}{': ' if failed else ''}{', '.join(failed)}")
    return 1 if failed else 0


def shell(arguments: argparse.Namespace) -> int:
    """Open a shell in a guest."""
    lab = make_lab(os.environ)
    cell = select(lab, arguments.kernels)[0]
    Host(lab.archive, lab.progress, lab.cache.folder / "apt/host").ensure({cell.arch})
    size = shutil.get_terminal_size()
    return lab.shell(Job(cell, "shell", shell_command(size.lines, size.columns), 0.0))


def show_list(arguments: argparse.Namespace) -> int:
    """Print the matrix."""
    lab = make_lab(os.environ) if arguments.versions else None
    for cell in CELLS:
        kernel = version_of(lab, cell) if lab else cell.kernel
        modes = ",".join(cell.modes)
        line = f"{cell.name:16} {kernel:20} {cell.root:9} {modes:25} {cell.about}"
        sys.stdout.write(f"{line}\n")
    return 0


def show_table(arguments: argparse.Namespace) -> int:
    """Print or write the support table."""
    text = render(results_folder(CHECKOUT))
    if arguments.out:
        arguments.out.write_text(text)
    else:
        sys.stdout.write(text)
    return 0


def run_services(arguments: argparse.Namespace) -> int:
    """Install the package in guests with systemd, two at a time; 1 if one of them failed."""
    lab = make_lab(os.environ, verbose=True)
    Host(lab.archive, lab.progress, lab.cache.folder / "apt/host").ensure({AMD64})

    def check(release: str) -> bool:
        return check_service(lab, release, arguments.story, arguments.limit)

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        passed = list(pool.map(check, arguments.releases))
    return 0 if all(passed) else 1


COMMANDS = {
    "run": run,
    "service": run_services,
    "shell": shell,
    "list": show_list,
    "table": show_table,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 0: passed or skipped, 1: failed tests, 2: the lab does not work."""
    arguments = parser().parse_args(argv)
    try:
        return COMMANDS[arguments.command](arguments)
    except MissingMeansError as error:
        sys.stderr.write(f"SKIPPED: the VM lab cannot run here: {error}\n")
        required = os.environ.get(REQUIRE, "") not in {"", "0"}
        return 1 if required else 0
    except LabError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
