# SPDX-License-Identifier: GPL-2.0-only
"""``fdscope leaks``: which call stack of a process opens descriptors and does not close them."""

import argparse
import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from fdscope.exporter.cli import lenses
from fdscope.exporter.cli.oneshot import seconds
from fdscope.exporter.cli.output import show
from fdscope.exporter.preconditions import RunError, version
from fdscope.exporter.signals import Interrupted
from fdscope.exporter.spotlight import targets
from fdscope.exporter.spotlight.protocol import NoProcessError

if TYPE_CHECKING:
    from fdscope.exporter.leaks.watch import Document, LeakWatch
    from fdscope.exporter.spotlight.lens import OriginLens

_POLL_SECONDS = 1.0
_MOST_PROCESSES = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``fdscope leaks``."""
    parser.add_argument(
        "targets",
        nargs="+",
        metavar="PID|NAME|UNIT",
        help="Processes: a pid, the name of a process, a systemd unit or a container id.",
    )
    lenses.add_arguments(parser)
    parser.add_argument(
        "--seconds",
        type=seconds,
        default=30.0,
        metavar="SECONDS",
        help="How long to watch (default: 30). A slow leak needs longer.",
    )


def run(arguments: argparse.Namespace, tell: Callable[[str], None]) -> None:
    """Watch and report; RunError if that cannot be."""
    try:
        pids = targets.pids(arguments.targets)
    except targets.NotFoundError as error:
        raise RunError(str(error)) from error
    if len(pids) > _MOST_PROCESSES:
        raise RunError(f"these are {len(pids)} processes: name up to {_MOST_PROCESSES}")
    with lenses.opened(arguments, tell, origins=True) as lens, ExitStack() as stack:
        watches = _begin(lens, pids, stack)
        tell(f"watching for {arguments.seconds:g} s")
        mode = _follow(lens, watches, arguments.seconds)
        found = {
            "fdscope": version(),
            "mode": mode,
            "processes": [watch.report() for watch in watches.values()],
        }
        show(json.dumps(found, indent=2) if arguments.json else _text(found))


def _text(found: "Document") -> str:
    from fdscope.exporter.leaks import report

    return report.text(found)


def _begin(lens: "OriginLens", pids: list[int], stack: ExitStack) -> "dict[int, LeakWatch]":
    from fdscope.exporter.leaks.watch import LeakWatch

    watches = {}
    try:
        for pid in pids:
            watches[pid] = LeakWatch(lens, pid)
            stack.callback(watches[pid].close)
    except NoProcessError as error:
        raise RunError(str(error)) from error
    return watches


def _follow(lens: "OriginLens", watches: "dict[int, LeakWatch]", seconds_left: float) -> str:
    """Look again and again until the time is over; the attach mode."""
    found = lens.origins()
    _look(found, watches)
    end = time.monotonic() + seconds_left
    try:
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(_POLL_SECONDS, left))
            found = lens.origins()
            if not _look(found, watches):
                break
    except Interrupted:
        _look(lens.origins(), watches)
    return str(found["mode"])


def _look(found: "Document", watches: "dict[int, LeakWatch]") -> bool:
    """True while one of the processes lives."""
    alive = [watches[each["pid"]].look(each) for each in found["processes"]]
    return any(alive)
