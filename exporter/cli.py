# SPDX-License-Identifier: GPL-2.0-only
"""The command ``fdscope`` and its subcommands.

Exit codes: 0 for success and for an end by SIGTERM or SIGINT, 1 for a failure at run time,
2 for wrong usage or configuration.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from typing import Any, TextIO

from exporter import config
from exporter.config import ConfigError
from exporter.listen import BindError
from exporter.run import RunError, run_exporter, start_logging, version

OK, FAILED, USAGE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand."""

    name: str
    summary: str
    description: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    """Exit code; RunError and ConfigError are printed."""


def _run_exporter(arguments: argparse.Namespace) -> int:
    options = config.load(vars(arguments), os.environ)
    start_logging(options.log_level)
    run_exporter(options)
    return OK


def _run_doctor(arguments: argparse.Namespace) -> int:
    from probes.doctor import examine

    # Each attach mode is compiled and tried, which takes seconds; only a person wants to know.
    tell = _tell if sys.stderr.isatty() else (lambda _: None)
    diagnosis = examine(progress=tell)
    _print(json.dumps(diagnosis.as_dict(), indent=2) if arguments.json else diagnosis.text())
    return OK if diagnosis.ok else FAILED


def _run_version(arguments: argparse.Namespace) -> int:
    try:
        bcc = metadata.version("bcc")
    except metadata.PackageNotFoundError:
        bcc = None
    facts = {
        "fdscope": version(),
        "python": platform.python_version(),
        "bcc": bcc,
        "kernel": platform.release(),
    }
    lines = (f"{name:<8} {value or 'not installed'}" for name, value in facts.items())
    _print(json.dumps(facts, indent=2) if arguments.json else "\n".join(lines))
    return OK


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="Print JSON, for programs.")


COMMANDS = (
    Command(
        "exporter",
        "count I/O and serve it as metrics for Prometheus",
        """\
Hang on the kernel, count I/O per process and fd type, and serve the counts over HTTP until
SIGTERM or Ctrl-C; then nothing stays attached. Needs root, or CAP_BPF and CAP_PERFMON.

examples:
  sudo fdscope exporter
  sudo fdscope exporter --web.listen-address=[::1]:9100 --web.listen-address=127.0.0.1:9100
  sudo fdscope exporter --probe.mode=kprobe --probe.latency --log.level=debug
  sudo fdscope exporter --config.file=fdscope.toml

"""
        + config.FILE_HELP,
        config.add_arguments,
        _run_exporter,
    ),
    Command(
        "doctor",
        "say what this kernel offers and what is missing",
        """\
Examine this machine: which attach modes work and which hooks it has, what will be attached,
what is missing, and the package or setting that mends it. Exits with 1 if the exporter cannot
work here.

examples:
  sudo fdscope doctor
  sudo fdscope doctor --json | jq .""",
        _add_json,
        _run_doctor,
    ),
    Command(
        "version",
        "show the versions of fdscope, Python, bcc and the kernel",
        """\
Show the versions that a bug report should name.

examples:
  fdscope version
  fdscope version --json""",
        _add_json,
        _run_version,
    ),
)


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line, made from ``COMMANDS``."""
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
    for command in COMMANDS:
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
    with _readers_may_leave(sys.stdout):
        try:
            return parser().parse_args(argv)
        except SystemExit as end:
            return int(end.code or OK)
    return OK


def _fail(command: str, error: Exception, code: int) -> int:
    with _readers_may_leave(sys.stderr):
        print(f"fdscope {command}: {error}", file=sys.stderr)
    return code


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


def _print(text: str) -> None:
    with _readers_may_leave(sys.stdout):
        print(text)


@contextmanager
def _readers_may_leave(stream: TextIO) -> Iterator[None]:
    """Write out at the end; a reader that has left (``fdscope doctor | head``) is no error."""
    try:
        yield
        stream.flush()
    except BrokenPipeError:
        # Python flushes once more at exit, and must find somewhere to write.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    sys.exit(main())
