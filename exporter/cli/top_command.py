# SPDX-License-Identifier: GPL-2.0-only
"""``fdscope top``: all processes by what they move, live."""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from fdscope.exporter.cli import lenses
from fdscope.exporter.cli.oneshot import seconds
from fdscope.exporter.cli.output import show
from fdscope.exporter.settings.strict import ConfigError
from fdscope.exporter.signals import Interrupted, interrupt

if TYPE_CHECKING:
    from fdscope.exporter.spotlight.lens import Lens
    from fdscope.exporter.top.rates import Order, Sheet

_THEMES = ("auto", "dark", "light")
_WHITE = ("7", "15")
"""Backgrounds in COLORFGBG that are light."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``fdscope top``."""
    from fdscope.exporter.top.rates import Order

    lenses.add_arguments(parser)
    parser.add_argument(
        "--once", action="store_true", help="Print a table of one interval, and end."
    )
    parser.add_argument(
        "--seconds",
        type=seconds,
        default=2.0,
        metavar="SECONDS",
        help="The interval between two looks (default: 2).",
    )
    parser.add_argument(
        "--sort",
        choices=[order.value for order in Order],
        default=Order.BYTES.value,
        help="What the processes are sorted by at first (default: bytes).",
    )
    parser.add_argument(
        "--theme",
        choices=_THEMES,
        default="auto",
        help="Colours for a dark or a light background; auto is what COLORFGBG says, else dark."
        " With NO_COLOR in the environment there are none.",
    )


def run(arguments: argparse.Namespace, tell: Callable[[str], None]) -> None:
    """Show the processes; RunError or ConfigError if that cannot be."""
    from fdscope.exporter.top.rates import Order, sheet_text

    order = Order(arguments.sort)
    live = not (arguments.once or arguments.json)
    if live and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError("this is no terminal: add --once for a table, or --json for programs")
    if live and os.environ.get("TERM", "dumb") in ("", "dumb"):
        raise ConfigError("TERM names no terminal that can move its cursor: add --once for a table")
    with lenses.opened(arguments, tell) as lens:
        if live:
            _live(lens, arguments, order)
            return
        sheet = _measure(lens, arguments.seconds)
        if arguments.json:
            show(json.dumps(sheet.as_dict(order), indent=2))
        else:
            show(sheet_text(sheet, order))


def _measure(lens: "Lens", length: float) -> "Sheet":
    from fdscope.exporter.top.rates import between

    before = lens.host()
    time.sleep(length)
    return between(before, lens.host())


def _live(lens: "Lens", arguments: argparse.Namespace, order: "Order") -> None:
    try:
        from fdscope.exporter.top import screen
    except ModuleNotFoundError as error:
        if error.name != "urwid":
            raise
        raise ConfigError(
            "the screen needs urwid (python3-urwid): install it, or add --once for a table"
        ) from error

    # A terminal that hangs up ends the program, also under nohup.
    before = signal.signal(signal.SIGHUP, interrupt)
    try:
        screen.Top(lens, arguments.seconds, order, _theme(arguments.theme)).run()
    except Interrupted:
        return
    finally:
        signal.signal(signal.SIGHUP, before)


def _theme(wanted: str) -> str:
    if wanted != "auto":
        return wanted
    background = os.environ.get("COLORFGBG", "").rpartition(";")[2]
    return "light" if background in _WHITE else "dark"
