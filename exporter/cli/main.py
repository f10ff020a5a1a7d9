# SPDX-License-Identifier: GPL-2.0-only
"""The command ``fdscope`` and its subcommands.

Exit codes: 0 for success and for an end by SIGTERM or SIGINT, 1 for a failure at run time,
2 for wrong usage or configuration.
"""

import argparse
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

from fdscope.exporter.cli.output import OutputError, open_missing_streams, writing
from fdscope.exporter.signals import interrupting

# Slow imports follow below, once signals and standard streams are handled.

OK, FAILED, USAGE = 0, 1, 2
_LONGEST_WORD = 100
"""Of a wrong command, as it is shown."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Print one line with the error instead of a screen of usage, and exit."""
        from fdscope.probes.text import printable

        raise SystemExit(_tell(self.prog, f"{printable(message)} (see {self.prog} --help)", USAGE))


def parser(argv: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The parser of the whole command line, made from ``COMMANDS`` and the entry points.

    If ``argv`` begins with a command, the others have no options and those of entry points are
    left out: they load much.
    """
    from fdscope.exporter.cli import commands as plugins
    from fdscope.exporter.cli.commands import COMMANDS

    shape: dict[str, Any] = {
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
    }
    top = _Parser(
        "fdscope",
        description="Shows which process reads and writes what on this host: every file, pipe and"
        "\nsocket is a file descriptor, and fdscope counts the bytes that go through them.",
        epilog="`fdscope COMMAND --help` explains a command. To begin: sudo fdscope exporter",
        **shape,
    )
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    is_own = bool(argv) and argv[0] in {command.name for command in COMMANDS}
    for command in (*COMMANDS, *(() if is_own else plugins.commands())):
        sub = commands.add_parser(
            command.name, help=command.summary, description=command.description, **shape
        )
        if not is_own or command.name == argv[0]:
            command.add_arguments(sub)
        sub.set_defaults(run=command.run, command=command.name)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; return the exit code."""
    try:
        with interrupting():
            open_missing_streams()
            # Threads of numpy would keep the privileges that the other threads drop.
            os.environ["OPENBLAS_NUM_THREADS"] = "1"
            return _end(_run(argv))
    except KeyboardInterrupt:
        return _end(OK)


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = _parse(argv)
    except OutputError as error:
        return _tell("fdscope", str(error), FAILED)
    except Exception as error:
        return _explain("fdscope", error)
    if isinstance(arguments, int):
        return arguments
    command = f"fdscope {arguments.command}"
    from fdscope.exporter.preconditions import RunError
    from fdscope.exporter.settings.strict import ConfigError

    try:
        return int(arguments.run(arguments))
    except ConfigError as error:
        return _tell(command, str(error), USAGE)
    except (RunError, OutputError) as error:
        return _tell(command, str(error), FAILED)
    except Exception as error:
        return _explain(command, error)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace | int:
    """The arguments, or the exit code if argparse has printed help or an error."""
    words = sys.argv[1:] if argv is None else argv
    with writing(sys.stdout):
        top = parser(words)
        try:
            _check_command(top, words)
            arguments, extra = top.parse_known_args(words)
        except SystemExit as end:
            return int(end.code or OK)
        if extra:
            from fdscope.probes.text import printable

            command = f"fdscope {arguments.command}"
            what = printable(" ".join(extra))
            return _tell(command, f"unrecognized arguments: {what} (see {command} --help)", USAGE)
        return arguments
    return OK


def _check_command(top: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Exit with a line that names the nearest command if the first word is none."""
    known = commands_of(top)
    if not words or words[0].startswith("-") or words[0] in known:
        return
    from fdscope.exporter.settings.strict import suggestion

    word = words[0][:_LONGEST_WORD]
    top.error(f"invalid choice: {word!r} is no command{suggestion(word, known)}")


def commands_of(top: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parser of each subcommand."""
    return {name: sub for action in _of_commands(top) for name, sub in action.choices.items()}


def purposes(top: argparse.ArgumentParser) -> dict[str, str]:
    """What each subcommand is for, in a line."""
    return {
        choice.dest: str(choice.help)
        for action in _of_commands(top)
        for choice in action._get_subactions()
    }


def _of_commands(top: argparse.ArgumentParser) -> "list[argparse._SubParsersAction[Any]]":
    return [each for each in top._actions if isinstance(each, argparse._SubParsersAction)]


def _explain(command: str, error: Exception) -> int:
    """Print in a line what was refused; a bug in fdscope with its traceback."""
    from fdscope.probes.kernel.limits import refused

    if text := refused(error):
        logging.getLogger(__name__).debug("%s failed", command, exc_info=error)
        return _tell(command, text, FAILED)
    with suppress(OutputError), writing(sys.stderr):
        traceback.print_exception(error)
    text = f"internal error, please report it with the lines above: {error!r}"
    return _tell(command, text, FAILED)


def _tell(command: str, text: str, code: int) -> int:
    with suppress(OutputError), writing(sys.stderr):
        print(f"{command}: {text}", file=sys.stderr)
    return code


def _end(code: int) -> int:
    """Flush both streams; return the exit code."""
    with suppress(OutputError), writing(sys.stderr):
        pass
    try:
        with writing(sys.stdout):
            pass
    except OutputError as error:
        return _tell("fdscope", str(error), FAILED)
    return code
