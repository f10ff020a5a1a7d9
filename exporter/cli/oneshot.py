# SPDX-License-Identifier: GPL-2.0-only
"""The commands that attach, read and detach: ``fdscope selftest`` and ``fdscope ledger``."""

import argparse
import json
import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fdscope.exporter.preconditions import RunError, check_capabilities, check_host, no_probe
from fdscope.exporter.settings.strict import ConfigError
from fdscope.probes.kernel import preemption
from fdscope.probes.schema.taxonomy import Mode

if TYPE_CHECKING:
    from fdscope.probes.read.session import Session

_CHOICES = ("auto", *(mode.value for mode in Mode))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of both commands."""
    parser.add_argument("--json", action="store_true", help="Print JSON, for programs.")
    parser.add_argument(
        "--probe.mode",
        dest="mode",
        choices=_CHOICES,
        default="auto",
        help="Attach mode; auto takes the best that works.",
    )


MOST_SECONDS = 604_800
"""The longest time that ``ledger`` watches: a week."""
STACKS_EVERY = 1
"""``ledger --stacks`` samples each operation: it does not run for long."""


def add_ledger_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``fdscope ledger``."""
    add_arguments(parser)
    parser.add_argument(
        "--seconds",
        type=seconds,
        default=10.0,
        help="How long to watch the host (default: 10).",
    )
    parser.add_argument(
        "--stacks",
        action="store_true",
        help="Also show the kernel's call chains from the doors down to the socket layer.",
    )
    parser.add_argument(
        "--socket",
        type=_inode,
        default=0,
        metavar="INODE",
        help="With --stacks: the chains of this socket alone. `ss -e` shows the number as ino, and"
        " /proc/PID/fd as socket:[INODE].",
    )


def seconds(text: str) -> float:
    """A time from the command line; ArgumentTypeError if it is none."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= MOST_SECONDS:  # false for NaN too
        raise argparse.ArgumentTypeError(
            f"{_shortened(text)} is not a time above 0 and up to {MOST_SECONDS}"
        )
    return value


def _inode(text: str) -> int:
    if not re.fullmatch("[0-9]{1,20}", text) or not 0 <= int(text) < 1 << 64:
        raise argparse.ArgumentTypeError(f"{_shortened(text)} is not an inode number")
    return int(text)


def _shortened(text: str) -> str:
    return repr(text) if len(text) < 40 else f"{text[:40]!r}..."


@contextmanager
def attached(
    mode: str,
    tell: Callable[[str], None],
    stacks_every: int = 0,
    stacks_socket: int = 0,
    latency: bool = False,
    spotlight: bool = False,
    origins: bool = False,
) -> Iterator["Session"]:
    """Probes of this process during the block; RunError if no mode works."""
    from fdscope.probes.attach import cache
    from fdscope.probes.attach.launch import AttachError
    from fdscope.probes.attach.settings import Settings
    from fdscope.probes.read.session import attach

    modes = preemption.best_first() if mode == "auto" else (Mode(mode),)
    try:
        settings = Settings(
            stacks_every=stacks_every,
            stacks_socket=stacks_socket,
            latency=latency,
            spotlight=spotlight,
            origins=origins,
            cache=str(cache.directory() or ""),
        )
        session = attach(modes, settings, tell)
    except AttachError as error:
        raise RunError(no_probe(str(error))) from error
    try:
        yield session
    finally:
        session.close()


def selftest(arguments: argparse.Namespace, tell: Callable[[str], None]) -> tuple[str, bool]:
    """Move known bytes through each door; (report, whether all of it is exact)."""
    from fdscope.exporter.accounts.losses import between
    from fdscope.probes.selftest import run as test

    check_host()
    with attached(arguments.mode, tell) as session:
        start = session.snapshot()
        rows = test.judge(session, meanwhile=session.set_aside).rows
        losses, mode = between(start, session.snapshot()), session.mode.value
    exact = all(row.ok for row in rows)
    if arguments.json:
        report = {"mode": mode, "ok": exact, "rows": [row.as_dict() for row in rows]}
        return json.dumps(report | losses.as_dict(), indent=2), exact
    return f"attach mode: {mode}\n{test.text(rows)}\n{losses.text()}", exact


def ledger(arguments: argparse.Namespace, tell: Callable[[str], None]) -> tuple[str, bool]:
    """Watch the host for some time; (the ledger of that time, True)."""
    from fdscope.exporter.accounts.ledger import ledger as lines_of
    from fdscope.exporter.accounts.ledger import since, text
    from fdscope.exporter.accounts.losses import between
    from fdscope.exporter.accounts.stacks import rows
    from fdscope.exporter.accounts.stacks import text as stacks_text

    if arguments.socket and not arguments.stacks:
        raise ConfigError("--socket goes together with --stacks")
    check_capabilities()
    every = STACKS_EVERY if arguments.stacks else 0
    with attached(arguments.mode, tell, every, arguments.socket) as session:
        # Hooks are attached one after the other: what passes meanwhile is seen by some only.
        start = session.snapshot()
        tell(f"watching for {arguments.seconds:g} s")
        time.sleep(arguments.seconds)
        snapshot = session.snapshot()
        sees_sockets, mode = session.sees_sockets, session.mode.value
    before, after = (
        lines_of((*s.amounts.values(), s.overflow), s.under_way) for s in (start, snapshot)
    )
    lines, losses = since(before, after), between(start, snapshot)
    if arguments.json:
        entries = [line.as_dict() for line in lines]
        report = {"mode": mode, "socket_layer": sees_sockets, "lines": entries}
        report |= losses.as_dict()
        if arguments.stacks:
            report["stacks"] = rows(snapshot.stacks)
        return json.dumps(report, indent=2), True
    note = "" if sees_sockets else "\nThis kernel shows no socket layer in this mode.\n"
    chains = f"\n\n{stacks_text(snapshot.stacks)}" if arguments.stacks else ""
    return f"attach mode: {mode}{note}\n{text(lines)}\n{losses.text()}{chains}", True
