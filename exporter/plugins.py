# SPDX-License-Identifier: GPL-2.0-only
"""Subcommands of packages that the exporter knows nothing of, found by their entry points."""

from collections.abc import Iterator
from importlib import metadata

from exporter.commands import Command

GROUP = "fdscope.commands"
"""The name of such an entry point is the subcommand's, and it leads to a module with SUMMARY,
DESCRIPTION, add_arguments() and run(), which are what ``Command`` says."""


def commands() -> Iterator[Command]:
    """Those of the installed packages, by name."""
    for entry in sorted(metadata.entry_points(group=GROUP), key=lambda point: point.name):
        module = entry.load()
        yield Command(
            entry.name, module.SUMMARY, module.DESCRIPTION, module.add_arguments, module.run
        )
