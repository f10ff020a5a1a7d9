# SPDX-License-Identifier: GPL-2.0-only
"""The command ``fdscope`` and its subcommands.

Exit codes: 0 for success and for an end by SIGTERM or SIGINT, 1 for a failure at run time,
2 for wrong usage or configuration.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from exporter import plugins
from exporter.commands import COMMANDS, FAILED, OK
from exporter.listen import BindError
from exporter.output import readers_may_leave
from exporter.run import RunError
from exporter.strict import ConfigError

USAGE = 2


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line, made from ``COMMANDS`` and what other packages add."""
    shape: dict[str, Any] = {
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
    }
    top = argparse.ArgumentParser(
        "fdscope",
        description="Shows who reads and writes what on this host: every file, pipe and socket is"
        "\na file descriptor, and fdscope counts what goes through them.",
        epilog="`fdscope COMMAND --help` tells about a command. To begin: sudo fdscope exporter",
        **shape,
    )
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for command in (*COMMANDS, *plugins.commands()):
        sub = commands.add_parser(
            command.name, help=command.summary, description=command.description, **shape
        )
        command.add_arguments(sub)
        sub.set_defaults(run=command.run, command=command.name)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; the answer is the exit code."""
    arguments = _parse(argv)
    if isinstance(arguments, int):
        return arguments
    try:
        return int(arguments.run(arguments))
    except ConfigError as error:
        return _fail(arguments.command, error, USAGE)
    except (RunError, BindError) as error:
        return _fail(arguments.command, error, FAILED)
    except KeyboardInterrupt:
        return OK


def _parse(argv: Sequence[str] | None) -> argparse.Namespace | int:
    """The arguments, or the exit code once argparse has printed help or what is wrong."""
    with readers_may_leave(sys.stdout):
        try:
            return parser().parse_args(argv)
        except SystemExit as end:
            return int(end.code or OK)
    return OK


def _fail(command: str, error: Exception, code: int) -> int:
    with readers_may_leave(sys.stderr):
        print(f"fdscope {command}: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
