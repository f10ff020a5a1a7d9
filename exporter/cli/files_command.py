# SPDX-License-Identifier: GPL-2.0-only
"""``fdscope files``: every file that a process holds, with what moves through it."""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from fdscope.exporter.cli import lenses
from fdscope.exporter.cli.oneshot import seconds
from fdscope.exporter.cli.output import show, writing
from fdscope.exporter.preconditions import RunError
from fdscope.exporter.settings.strict import ConfigError
from fdscope.exporter.signals import Interrupted
from fdscope.exporter.spotlight import targets
from fdscope.exporter.spotlight.protocol import NoProcessError
from fdscope.exporter.spotlight.report import Document, files_text

if TYPE_CHECKING:
    from fdscope.exporter.spotlight.lens import Lens

_HOME, _CLEAR_LINE, _CLEAR_REST = "\x1b[H", "\x1b[K", "\x1b[J"
_CLEAR_SCREEN = "\x1b[2J"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``fdscope files``."""
    parser.add_argument(
        "targets",
        nargs="*",
        metavar="PID|NAME|UNIT",
        help="Processes: a pid, the name of a process, a systemd unit or a container id.",
    )
    lenses.add_arguments(parser)
    parser.add_argument("--once", action="store_true", help="Look once, and end.")
    parser.add_argument(
        "--seconds",
        type=seconds,
        metavar="SECONDS",
        help="Time between two looks (default: 2); with --once, before the only one (default: 0).",
    )
    parser.add_argument(
        "--follow-children",
        action="store_true",
        help="Watch what these processes fork from now on too.",
    )
    parser.add_argument(
        "--closed",
        action="store_true",
        help="Show files too that were closed since they are watched.",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="List the open files of all processes once, as lsof does.",
    )


def run(arguments: argparse.Namespace, tell: Callable[[str], None]) -> None:
    """Show the files; RunError or ConfigError if that cannot be."""
    if bool(arguments.targets) == arguments.all:
        raise ConfigError("name a process by its PID, NAME or UNIT, or all of them with --all")
    try:
        pids = targets.pids(arguments.targets)
    except targets.NotFoundError as error:
        raise RunError(str(error)) from error
    with lenses.opened(arguments, tell) as lens:
        if arguments.all:
            _show(lens.list_all(), arguments)
            return
        try:
            for pid in pids:
                lens.watch(pid, arguments.follow_children)
        except NoProcessError as error:
            raise RunError(str(error)) from error
        if arguments.once:
            time.sleep(arguments.seconds or 0)
            _show(lens.look(with_peers=True), arguments)
        else:
            _live(lens, arguments)


def _live(lens: "Lens", arguments: argparse.Namespace) -> None:
    """Look again and again, until all processes have ended or the user wants no more."""
    on_terminal = sys.stdout.isatty() and not arguments.json
    if on_terminal:
        _write(_CLEAR_SCREEN)
    try:
        while True:
            report = lens.look(with_peers=True)
            if on_terminal:
                _write(_screen(files_text(report, arguments.closed)))
            else:
                _show(report, arguments)
            if all(process["ended"] for process in report["processes"]):
                return
            time.sleep(arguments.seconds or 2)
    except Interrupted:
        return


def _screen(text: str) -> str:
    """As much of a text as the terminal has room for."""
    columns, rows = shutil.get_terminal_size()
    lines = text.splitlines()
    if len(lines) > rows - 1:
        left = len(lines) - (rows - 2)
        lines = [
            *lines[: rows - 2],
            f"... and {left} more: make the terminal higher, or use --once",
        ]
    return _HOME + "".join(f"{line[:columns]}{_CLEAR_LINE}\n" for line in lines) + _CLEAR_REST


def _write(text: str) -> None:
    with writing(sys.stdout):
        sys.stdout.write(text)


def _show(report: Document, arguments: argparse.Namespace) -> None:
    if arguments.json:
        show(json.dumps(report, indent=2 if arguments.once or arguments.all else None))
    else:
        show(files_text(report, arguments.closed))
