# SPDX-License-Identifier: GPL-2.0-only
"""Dashboards as files: ``fdscope dashboards``, or ``python -m fdscope.dashboards.build``."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fdscope.dashboards.boards.fleet import fleet
from fdscope.dashboards.boards.host import host
from fdscope.dashboards.boards.itself import itself
from fdscope.dashboards.boards.process import process
from fdscope.dashboards.boards.socket_is_a_file.board import socket_is_a_file
from fdscope.dashboards.boards.unusual import unusual
from fdscope.dashboards.grafana.normalise import normalise

SUMMARY = "write the dashboards for Grafana as JSON"
DESCRIPTION = """\
Write the dashboards for Grafana (12 or newer) as JSON files, made from the metric catalog. A folder
that Grafana provisions from takes them as they are; so does Dashboards > New > Import.

examples:
  fdscope dashboards --out /var/lib/grafana/dashboards
  fdscope dashboards --out /var/lib/grafana/dashboards --check"""

DASHBOARDS: tuple[Callable[[], Any], ...] = (
    socket_is_a_file,
    host,
    process,
    unusual,
    itself,
    fleet,
)
CHECKED_IN = Path(__file__).resolve().parents[1] / "deploy/grafana/dashboards"


def files() -> Iterator[tuple[str, str]]:
    """File name and JSON of each dashboard."""
    for make in DASHBOARDS:
        text = json.dumps(normalise(make()), indent=1, ensure_ascii=False)
        yield f"{make.__name__}.json", text + "\n"


def write(folder: Path) -> list[Path]:
    """Write all into a folder; OSError if it cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in files():
        path = folder / name
        path.write_text(text)
        written.append(path)
    return written


def stale(folder: Path) -> list[str]:
    """Names of files in a folder that differ from what would be written, or should not be there."""
    current = dict(files())
    there = {path.name: path.read_text() for path in folder.glob("*.json")}
    return sorted(name for name in current | there if current.get(name) != there.get(name))


def add_arguments(parser: argparse.ArgumentParser, folder: Path | None = None) -> None:
    """Options of the command; with a folder, that is where it writes unless told."""
    parser.add_argument(
        "--out",
        type=Path,
        default=folder,
        required=folder is None,
        metavar="DIR",
        help="Folder to write to.",
    )
    parser.add_argument(
        "--check", action="store_true", help="Write nothing; fail if the folder is out of date."
    )


def run(arguments: argparse.Namespace) -> int:
    """Write or check; the exit code."""
    if arguments.check:
        old = stale(arguments.out)
        if old:
            print(f"out of date in {arguments.out}: {', '.join(old)}")
        return int(bool(old))
    try:
        paths = write(arguments.out)
    except OSError as error:
        print(f"fdscope dashboards: {error}", file=sys.stderr)
        return 1
    for path in paths:
        print(path)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m fdscope.dashboards.build")
    add_arguments(parser, CHECKED_IN)
    sys.exit(run(parser.parse_args()))
