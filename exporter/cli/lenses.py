# SPDX-License-Identifier: GPL-2.0-only
"""Where the commands of the spotlight look: through an exporter that runs, or their own probes."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fdscope.exporter.cli.oneshot import attached
from fdscope.exporter.preconditions import RunError, check_host, version
from fdscope.exporter.spotlight.client import ControlError, NotRunningError, RemoteLens
from fdscope.exporter.spotlight.protocol import DEFAULT_PATH
from fdscope.probes.schema.taxonomy import Mode

if TYPE_CHECKING:
    from fdscope.exporter.spotlight.lens import OriginLens


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of all commands of the spotlight."""
    parser.add_argument("--json", action="store_true", help="Print JSON, for programs.")
    parser.add_argument(
        "--control",
        default="auto",
        metavar="PATH",
        help="Control socket of a running exporter to look through; auto for"
        f" {DEFAULT_PATH} if an exporter listens there, off to attach probes of its own.",
    )
    parser.add_argument(
        "--probe.mode",
        dest="mode",
        choices=("auto", *(mode.value for mode in Mode)),
        default="auto",
        help="Attach mode of its own probes; auto takes the best that works.",
    )


@contextmanager
def opened(
    arguments: argparse.Namespace, tell: Callable[[str], None], origins: bool = False
) -> Iterator["OriginLens"]:
    """A lens; nothing is watched any more when the block ends. RunError if there is none.

    ``origins``: it can also be asked where descriptors are opened.
    """
    try:
        with _opened(arguments, tell, origins) as lens:
            yield lens
    except ControlError as error:
        raise RunError(str(error)) from error


@contextmanager
def _opened(
    arguments: argparse.Namespace, tell: Callable[[str], None], origins: bool
) -> Iterator["OriginLens"]:
    remote = _remote(arguments.control)
    if remote:
        tell("looking through the exporter that runs")
        try:
            yield remote
        finally:
            remote.close()
        return
    from fdscope.exporter.spotlight.lens import OwnLens, Polling, recorder_of

    check_host()
    # Durations are measured in tracepoint mode alone: see `recorder_of`.
    latency = arguments.mode == "tracepoint" and not origins
    with attached(
        arguments.mode, tell, latency=latency, spotlight=True, origins=origins
    ) as session:
        recorder = recorder_of(session, is_shared=False)
        if recorder is None:
            raise RunError("this kernel refuses the program that lists files")
        lens = OwnLens(recorder, session.mode.value, version())
        with Polling(recorder):
            yield lens
        lens.close()


def _remote(control: str) -> RemoteLens | None:
    """A lens through an exporter; None if none runs, or own probes are wanted."""
    if control == "off":
        return None
    try:
        return RemoteLens(DEFAULT_PATH if control == "auto" else control, version())
    except NotRunningError:
        if control == "auto":
            return None
        raise
