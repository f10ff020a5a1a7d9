# SPDX-License-Identifier: GPL-2.0-only
"""Where the commands of the spotlight look: through an exporter that runs, or their own probes."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fdscope.exporter.cli.oneshot import attached
from fdscope.exporter.run import RunError, check_host, version
from fdscope.exporter.spotlight.lens import Lens, OwnLens, Polling, recorder_of
from fdscope.probes.schema.taxonomy import Mode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of all commands of the spotlight."""
    parser.add_argument("--json", action="store_true", help="Print JSON, for programs.")
    parser.add_argument(
        "--probe.mode",
        dest="mode",
        choices=("auto", *(mode.value for mode in Mode)),
        default="auto",
        help="Attach mode of its own probes; auto takes the best that works.",
    )


@contextmanager
def opened(arguments: argparse.Namespace, tell: Callable[[str], None]) -> Iterator[Lens]:
    """A lens; nothing is watched any more when the block ends."""
    check_host()
    with attached(arguments.mode, tell, latency=True) as session:
        recorder = recorder_of(session)
        if recorder is None:
            raise RunError("this kernel refuses the program that lists files")
        lens = OwnLens(recorder, session.mode.value, version())
        with Polling(recorder):
            yield lens
        lens.close()
