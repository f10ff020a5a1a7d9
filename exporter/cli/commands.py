# SPDX-License-Identifier: GPL-2.0-only
"""The subcommands of ``fdscope``: purpose, options, function."""

import argparse
import json
import os
import platform
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata

from fdscope.exporter.cli import files_command, leaks_command, oneshot, run_command, top_command
from fdscope.exporter.cli.output import show
from fdscope.exporter.preconditions import RunError, version
from fdscope.exporter.settings.strict import ConfigError
from fdscope.probes.schema.taxonomy import Mode
from fdscope.probes.text import printable

OK, FAILED = 0, 1
WIDTH = 100
"""Columns of a line of text."""


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand."""

    name: str
    summary: str
    description: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    """Returns the exit code; RunError and ConfigError are printed."""


def _add_exporter_arguments(parser: argparse.ArgumentParser) -> None:
    from fdscope.exporter.settings import config

    config.add_arguments(parser)


def _run_exporter(arguments: argparse.Namespace) -> int:
    from fdscope.exporter.logs import start_logging
    from fdscope.exporter.run import run_exporter
    from fdscope.exporter.settings import config

    options = config.load(vars(arguments), os.environ)
    start_logging(options.log_level, options.log_format)
    run_exporter(options)
    return OK


def _add_doctor_arguments(parser: argparse.ArgumentParser) -> None:
    _add_json(parser)
    parser.add_argument(
        "--blind-spots",
        action="store_true",
        help="List what is not counted on this kernel, and why, instead of the examination.",
    )
    parser.add_argument(
        "--mode",
        choices=[mode.value for mode in Mode],
        help="With --blind-spots: the attach mode (default: the first that works here).",
    )


def _run_doctor(arguments: argparse.Namespace) -> int:
    from fdscope.probes.doctor.checks import examine

    if arguments.blind_spots:
        return _list_blind_spots(arguments)
    if arguments.mode:
        raise ConfigError("--mode goes together with --blind-spots")
    diagnosis = examine(progress=_progress())
    show(json.dumps(diagnosis.as_dict(), indent=2) if arguments.json else diagnosis.text())
    return OK if diagnosis.ok else FAILED


def _list_blind_spots(arguments: argparse.Namespace) -> int:
    from fdscope.probes.doctor.checks import usable_mode
    from fdscope.probes.hooks import blind_spots

    mode = Mode(arguments.mode) if arguments.mode else usable_mode(progress=_progress())
    if mode is None:
        raise RunError("no attach mode works here (see `fdscope doctor`): choose one with --mode")
    spots, kernel = blind_spots.of(mode), platform.release()
    if arguments.json:
        entries = [{"what": spot.what, "why": spot.why} for spot in spots]
        report = {"mode": mode.value, "kernel": kernel, "blind_spots": entries}
        show(json.dumps(report, indent=2))
        return OK
    head = f"Not traced in {mode.value} mode on Linux {kernel}: {len(spots)}"
    paragraphs = (
        f"{_indented(spot.what, '- ', '  ')}\n{_indented(spot.why, '    ', '    ')}"
        for spot in spots
    )
    show("\n\n".join((head, *paragraphs)))
    return OK


def _indented(text: str, first: str, others: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=first, subsequent_indent=others)


def _run_selftest(arguments: argparse.Namespace) -> int:
    report, exact = oneshot.selftest(arguments, _progress())
    show(report)
    return OK if exact else FAILED


def _run_ledger(arguments: argparse.Namespace) -> int:
    report, _ = oneshot.ledger(arguments, _progress())
    show(report)
    return OK


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
    show(json.dumps(facts, indent=2) if arguments.json else "\n".join(lines))
    return OK


def _add_events_arguments(parser: argparse.ArgumentParser) -> None:
    from fdscope.exporter.cli import events

    events.add_arguments(parser)


def _run_events(arguments: argparse.Namespace) -> int:
    from fdscope.exporter.cli import events

    return events.run(arguments)


def _run_files(arguments: argparse.Namespace) -> int:
    files_command.run(arguments, _progress())
    return OK


def _run_top(arguments: argparse.Namespace) -> int:
    top_command.run(arguments, _progress())
    return OK


def _run_leaks(arguments: argparse.Namespace) -> int:
    leaks_command.run(arguments, _progress())
    return OK


def _run_run(arguments: argparse.Namespace) -> int:
    try:
        return run_command.run(arguments, _progress())
    except run_command.CommandError as error:
        why, status = error.args
        print(f"fdscope run: {printable(arguments.argv[-1])}: {why}", file=sys.stderr)
        return int(status)


def _progress() -> Callable[[str], None]:
    """A function that prints progress, where a person waits: attaching takes seconds."""
    if sys.stderr.isatty():
        return lambda text: print(text, file=sys.stderr)
    return lambda _: None


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="Print JSON, for programs.")


COMMANDS = (
    Command(
        "exporter",
        "count I/O and serve it as metrics for Prometheus",
        """\
Attach to the kernel, count I/O per process and fd type, and serve the counts over HTTP until
SIGTERM or Ctrl-C; then nothing stays attached. Needs root, or CAP_BPF and CAP_PERFMON.

examples:
  sudo fdscope exporter
  sudo fdscope exporter --web.listen-address=[::1]:9100 --web.listen-address=127.0.0.1:9100
  sudo fdscope exporter --web.listen-address=unix:/run/fdscope/metrics.sock
  sudo fdscope exporter --probe.mode=kprobe --probe.latency --log.level=debug
  sudo fdscope exporter --config.file=fdscope.toml

Each option can also be set in the configuration file, in the table that its first word names;
flags win over the file:
  exclude-self = true
  [web]
  listen-address = ["127.0.0.1:20253"]
  [process]
  max-series = 500""",
        _add_exporter_arguments,
        _run_exporter,
    ),
    Command(
        "doctor",
        "check what this kernel offers and what is missing",
        """\
Examine this machine: which attach modes work and which hooks it has, what will be attached,
what is missing, and the package or setting that fixes it. Exits with 1 if the exporter cannot
work here.

examples:
  sudo fdscope doctor
  sudo fdscope doctor --json | jq .
  sudo fdscope doctor --blind-spots  # what is not counted on this kernel
  fdscope doctor --blind-spots --mode tracepoint""",
        _add_doctor_arguments,
        _run_doctor,
    ),
    Command(
        "selftest",
        "move known bytes through every door and compare",
        """\
Attach, move known bytes through each door and fd type, and compare them with what the probes
counted at the file layer and at the socket layer. Exits with 1 if anything is not exact.

examples:
  sudo fdscope selftest
  sudo fdscope selftest --json | jq '.rows[] | select(.ok | not)'""",
        oneshot.add_arguments,
        _run_selftest,
    ),
    Command(
        "ledger",
        "show that both layers see the same bytes",
        """\
Attach, watch the host for some time, and show for each kind of socket the bytes at the socket
layer and the bytes that came through each door of the file layer. A call in flight while the
probes are attached or read has passed one layer only: it shows as a small residual on a busy host.

examples:
  sudo fdscope ledger
  sudo fdscope ledger --seconds 60 --json
  sudo fdscope ledger --stacks  # with the kernel functions between door and socket layer
  sudo fdscope ledger --stacks --socket 31337  # of one socket: ss -e shows its inode number""",
        oneshot.add_ledger_arguments,
        _run_ledger,
    ),
    Command(
        "events",
        "show the unusual events of the journal",
        """\
Show the unusual events that the exporter has written to its file (--journal.file), in words:
what happened, to whom, started by whom, and connected to where. docs/events.md explains the
kinds. Events that went to systemd's journal are shown by journalctl.

examples:
  sudo fdscope events --since 1h
  sudo fdscope events --follow --severity warning
  sudo fdscope events --kind stdio_socket --kind exec_on_socket --json | jq .process
  fdscope events copy-of-events.jsonl
  journalctl FDSCOPE_KIND=stdio_socket""",
        _add_events_arguments,
        _run_events,
    ),
    Command(
        "files",
        "show each file that a process holds, and what moves through it",
        """\
Watch processes and show each file that they hold: descriptors, type, name, bytes read and written,
errors, queues, and who holds the other end of a pipe or socket. Counts begin when watching begins.
On a terminal the table refreshes until Ctrl-C or until all processes have ended; else a table, or
with --json a line, is printed at each look. --all lists all processes once without counts.

examples:
  sudo fdscope files 4711
  sudo fdscope files nginx.service --follow-children
  sudo fdscope files postgres --once --seconds 10 --json | jq '.processes[].files[] | .name'
  sudo fdscope files --all""",
        files_command.add_arguments,
        _run_files,
    ),
    Command(
        "top",
        "show all processes by what they read and write, live",
        """\
Show all processes by the bytes, operations and errors of each second and by their open file
descriptors, with the fd types behind them. Enter shows the files of a process, and Enter again all
that is known of one file: its doors, errors, queues, and who holds the other end. Only the process
that is shown is watched, and only while it is shown. Needs a terminal of 80 columns and 24 rows.

keys:
  Up, Down, PgUp, PgDn, Home, End   choose a row
  Enter, Esc                        go into the row, and back
  /                                 show only rows with a text in a name or fd type, or a pid
  b o e f n p                       sort by bytes, operations, errors, fds, name, pid
  Space, t, q                       pause; colours for dark or light; quit

examples:
  sudo fdscope top
  sudo fdscope top --seconds 5 --sort errors
  sudo fdscope top --once --sort operations | head -20
  sudo fdscope top --json | jq '.processes[] | select(.open_fds > 1000) | .process'""",
        top_command.add_arguments,
        _run_top,
    ),
    Command(
        "leaks",
        "find the code that opens file descriptors and does not close them",
        """\
Watch where processes open their descriptors: the call stack of each opening, with functions,
files and lines as far as they are known. Shows by stack how many were opened, closed and are still
open, their age, type and names; a stack that leaks is on top, with its growth and the time until
the limit (RLIMIT_NOFILE). Nothing is stopped or changed in the process. docs/leaks.md: the rules.

examples:
  sudo fdscope leaks 4711
  sudo fdscope leaks myserver --seconds 600
  sudo fdscope leaks 4711 --json | jq '.processes[].stacks[0]'""",
        leaks_command.add_arguments,
        _run_leaks,
    ),
    Command(
        "run",
        "run a command and show where its bytes went, file by file",
        """\
Run a command, watch it and its children from before the first instruction, and report at the end
what each process read and wrote: by door, file, protocol or filesystem, and device. The command's
output and input are its own; the report goes to standard error. Exits with the command's status,
127 if it was not found, 126 if it cannot be executed, 128 and the signal's number if one ended it.

examples:
  sudo fdscope run -- curl -s http://localhost/
  sudo fdscope run --json --output=report.json -- tar czf /tmp/etc.tar.gz /etc
  sudo fdscope run -- sh -c 'seq 1000 | gzip > /tmp/numbers.gz'""",
        run_command.add_arguments,
        _run_run,
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


# Subcommands of fdscope's other packages, found by entry points: the exporter does not import them.

GROUP = "fdscope.commands"
"""The entry point has the subcommand's name and leads to a module with SUMMARY, DESCRIPTION,
add_arguments() and run(), as in ``Command``."""


def commands() -> Iterator[Command]:
    """Subcommands of fdscope's own entry points, by name; other packages cannot add one."""
    try:
        own = metadata.distribution("fdscope").entry_points.select(group=GROUP)
    except metadata.PackageNotFoundError:
        return
    for entry in sorted(own, key=lambda point: point.name):
        module = entry.load()
        yield Command(
            entry.name, module.SUMMARY, module.DESCRIPTION, module.add_arguments, module.run
        )
