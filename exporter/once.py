# SPDX-License-Identifier: GPL-2.0-only
"""The commands that attach, look and detach: ``fdscope selftest`` and ``fdscope ledger``."""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from exporter.run import RunError, check_capabilities
from probes.taxonomy import Mode

if TYPE_CHECKING:
    from probes.session import Session

_CHOICES = ("auto", *(mode.value for mode in Mode))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of both commands."""
    parser.add_argument("--json", action="store_true", help="Print JSON, for programs.")
    parser.add_argument(
        "--probe.mode",
        dest="mode",
        choices=_CHOICES,
        default="auto",
        help="How to hang on the kernel; auto takes the best that works.",
    )


def add_ledger_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``fdscope ledger``."""
    add_arguments(parser)
    parser.add_argument(
        "--seconds",
        type=float,
        default=10.0,
        help="How long to watch the host (default: 10).",
    )


@contextmanager
def _session(mode: str, tell: Callable[[str], None]) -> Iterator["Session"]:
    from probes.session import AttachError, attach
    from probes.source import Settings

    check_capabilities()
    modes = list(Mode) if mode == "auto" else [Mode(mode)]
    try:
        session = attach(modes, Settings(), tell)
    except AttachError as error:
        raise RunError(f"no probe could be attached: {error}") from error
    try:
        yield session
    finally:
        session.close()


def selftest(arguments: argparse.Namespace, tell: Callable[[str], None]) -> tuple[str, bool]:
    """Known bytes through each door: the report, and whether all of it is exact."""
    from probes import selftest as test

    with _session(arguments.mode, tell) as session:
        rows = test.run(session)
        mode = session.mode.value
    exact = all(row.ok for row in rows)
    if arguments.json:
        report = {"mode": mode, "ok": exact, "rows": [row.as_dict() for row in rows]}
        return json.dumps(report, indent=2), exact
    return f"attach mode: {mode}\n{test.text(rows)}", exact


def ledger(arguments: argparse.Namespace, tell: Callable[[str], None]) -> tuple[str, bool]:
    """Watch the host for some time: the ledger of what it moved meanwhile."""
    from exporter.ledger import ledger as lines_of
    from exporter.ledger import text

    if not arguments.seconds > 0:
        raise RunError(f"--seconds is {arguments.seconds:g}: give a time above 0")
    with _session(arguments.mode, tell) as session:
        tell(f"watching for {arguments.seconds:g} s")
        time.sleep(arguments.seconds)
        snapshot = session.snapshot()
        sees_sockets, mode = session.sees_sockets, session.mode.value
    lines = lines_of((*snapshot.amounts.values(), snapshot.overflow))
    if arguments.json:
        entries = [line.as_dict() for line in lines]
        report = {"mode": mode, "socket_layer": sees_sockets, "lines": entries}
        return json.dumps(report, indent=2), True
    note = "" if sees_sockets else "\nThis kernel shows no socket layer in this mode.\n"
    return f"attach mode: {mode}{note}\n{text(lines)}", True
