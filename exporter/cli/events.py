# SPDX-License-Identifier: GPL-2.0-only
"""``fdscope events``: shows what the journal has written."""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from fdscope.exporter.cli.output import show
from fdscope.exporter.journal import history
from fdscope.exporter.journal.history import Wanted
from fdscope.exporter.journal.model import Severity
from fdscope.exporter.preconditions import RunError
from fdscope.probes.schema.taxonomy import EventKind
from fdscope.probes.text import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        default=str(history.DEFAULT_FILE),
        help="File to read, and the older ones beside it; - for standard input. Default:"
        f" {history.DEFAULT_FILE}.",
    )
    parser.add_argument(
        "--follow", action="store_true", help="Show further events as they come, until Ctrl-C."
    )
    parser.add_argument(
        "--kind",
        action="append",
        default=[],
        choices=[kind.label for kind in EventKind],
        metavar="KIND",
        help=f"Only events of this kind; can be repeated: {', '.join(k.label for k in EventKind)}.",
    )
    parser.add_argument(
        "--severity",
        choices=[each.value for each in Severity],
        default=Severity.INFO.value,
        help="Only events of this severity or a higher one.",
    )
    parser.add_argument(
        "--since",
        type=_since,
        default=0.0,
        metavar="TIME",
        help="Only events after this time: 90s, 10m, 2h, 1d ago, or 2026-01-31T12:00:00.",
    )
    parser.add_argument("--json", action="store_true", help="Print the lines, for programs.")


def _since(text: str) -> float:
    try:
        return history.moment(text, time.time())
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} {error}") from error


def run(arguments: argparse.Namespace) -> int:
    """Print the events; RunError if the file cannot be read."""
    wanted = Wanted(frozenset(arguments.kind), arguments.severity, arguments.since)
    colors = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    others = 0
    try:
        for line in _lines(arguments):
            told = history.event_in(line)
            if told is None:
                others += 1
            elif wanted.has(told):
                show(history.as_json(told) if arguments.json else history.in_words(told, colors))
    except OSError as error:
        raise RunError(_why(arguments.file, error)) from error
    if others:
        print(f"fdscope events: {others} lines are no events", file=sys.stderr)
    return 0


def _lines(arguments: argparse.Namespace) -> Iterator[bytes]:
    if arguments.file == "-":
        return iter(sys.stdin.buffer.readline, b"")
    return history.lines(Path(arguments.file), arguments.follow)


def _why(file: str, error: OSError) -> str:
    name = printable(file)
    if isinstance(error, FileNotFoundError):
        return f"there is no file {name}: give the exporter --journal.file, or name its file here"
    if isinstance(error, PermissionError):
        return f"{name} may not be read: the journal is for its owner and root, try sudo"
    return f"{name} cannot be read: {error.strerror}"
