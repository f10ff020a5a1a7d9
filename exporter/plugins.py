# SPDX-License-Identifier: GPL-2.0-only
"""Subcommands of fdscope's other packages, which the exporter does not know, by entry points."""

from collections.abc import Iterator
from importlib import metadata

from exporter.commands import Command

GROUP = "fdscope.commands"
"""The name of such an entry point is the subcommand's, and it leads to a module with SUMMARY,
DESCRIPTION, add_arguments() and run(), which are what ``Command`` says."""


def commands() -> Iterator[Command]:
    """Those that fdscope itself brings, by name; no other installed package can add one."""
    try:
        own = metadata.distribution("fdscope").entry_points.select(group=GROUP)
    except metadata.PackageNotFoundError:
        return
    for entry in sorted(own, key=lambda point: point.name):
        module = entry.load()
        yield Command(
            entry.name, module.SUMMARY, module.DESCRIPTION, module.add_arguments, module.run
        )
