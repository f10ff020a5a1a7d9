# SPDX-License-Identifier: GPL-2.0-only
"""The command ``fdscope`` and its subcommands.

Exit codes: 0 for success and for an end by SIGTERM or SIGINT, 1 for a failure at run time,
2 for wrong usage or configuration.
"""

import argparse
import asyncio
import json
import logging
import os
import platform
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from prometheus_client import CollectorRegistry

from exporter import config, server
from exporter.config import ConfigError, Options
from probes import blind_spots
from probes.source import Settings
from probes.taxonomy import Mode

if TYPE_CHECKING:
    from exporter.collector import Collector
    from probes.session import Session

OK, FAILED, USAGE = 0, 1, 2

log = logging.getLogger(__name__)

_STATUS = Path("/proc/self/status")
_CAPABILITIES = {"CAP_SYS_ADMIN": 21, "CAP_PERFMON": 38, "CAP_BPF": 39}
"""Bit numbers: include/uapi/linux/capability.h."""
_NOISY_LOGGERS = ("asyncio", "tornado.access", "tornado.general")


class RunError(Exception):
    """Something expected that ends a command; the text says what and what to do."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the exporter is put together from; tests put in others."""

    check: Callable[[], None]
    """RunError if this process may not load BPF programs."""
    attach: Callable[[Sequence[Mode], Settings, Callable[[str], None]], "Session"]
    """From modes, settings and a way to tell progress; RunError if nothing can be attached."""
    collector: Callable[["Session", str, int], "Collector"]
    """From the session, the version and how many processes get series of their own."""


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand."""

    name: str
    summary: str
    description: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    """Exit code; RunError and ConfigError are printed."""


def check_capabilities(status: Path = _STATUS) -> None:
    """RunError unless the process has CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN."""
    lines = (line.partition(":") for line in status.read_text().splitlines())
    effective = int(next(value for name, _, value in lines if name == "CapEff"), 16)
    missing = [name for name, bit in _CAPABILITIES.items() if not effective >> bit & 1]
    if "CAP_SYS_ADMIN" not in missing or missing == ["CAP_SYS_ADMIN"]:
        return
    needed = " and ".join(name for name in missing if name != "CAP_SYS_ADMIN")
    raise RunError(
        f"loading BPF programs needs {needed}, which this process does not have: run it as root"
        " (sudo fdscope exporter), or let its systemd unit set"
        " AmbientCapabilities=CAP_BPF CAP_PERFMON"
    )


def _attach(
    modes: Sequence[Mode], settings: Settings, progress: Callable[[str], None]
) -> "Session":
    # Imported here, for `fdscope version` is to work where numpy is missing.
    from probes.session import AttachError, attach

    try:
        return attach(modes, settings, progress)
    except AttachError as error:
        text = f"no probe could be attached: {error}\nRun `fdscope doctor`: it says what is missing"
        raise RunError(text) from error


def _collector(session: "Session", version: str, max_series: int) -> "Collector":
    from exporter.collector import Collector

    return Collector(session, version, max_series)


REAL = Parts(check_capabilities, _attach, _collector)


def run_exporter(options: Options, parts: Parts = REAL) -> int:
    """Bind, attach and serve until SIGTERM or SIGINT; nothing is attached when it returns.

    RunError and BindError say what went wrong.
    """
    parts.check()
    with ExitStack() as stack:
        sockets = server.bind(options.listen_addresses)
        stack.callback(server.release, sockets)
        stack.callback(_on_signals, signal.SIG_DFL)
        # KeyboardInterrupt at once, until the event loop takes the signals over.
        _on_signals(signal.default_int_handler)
        session = parts.attach(options.modes, _settings(options), log.info)
        stack.callback(session.close)
        stack.callback(_on_signals, signal.SIG_IGN)
        _report_attached(session.report)
        collector = parts.collector(session, version(), options.max_series)
        stack.callback(collector.close)
        # Nothing may interrupt what detaches: it takes no longer than moments.
        stack.callback(_on_signals, signal.SIG_IGN)
        registry = CollectorRegistry()
        registry.register(collector)
        served = server.Server(
            options, sockets, registry, lambda: _page(session.mode, collector), collector.ready
        )
        for url in server.urls(sockets):
            log.info("metrics: %s%s, page: %s/", url, options.telemetry_path, url)
        asyncio.run(served.serve())
    return OK


def _on_signals(action: Any) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, action)


def _settings(options: Options) -> Settings:
    return Settings(
        counter_entries=options.counter_entries,
        process_entries=options.process_entries,
        latency=options.latency,
        exclude_tgid=os.getpid() if options.exclude_self else None,
    )


def _page(mode: Mode, collector: "Collector") -> server.PageData:
    blind = blind_spots.for_mode(mode)
    return server.PageData(version(), mode.value, collector.attachments(), blind)


def _report_attached(report: Mapping[str, Any]) -> None:
    """Tell what hangs where, what does not and why, and what is not seen."""
    for refused in report.get("refused", ()):
        log.info("mode %s does not work here: %s", refused["mode"], _line(refused["why"]))
    hooks = report["hooks"]
    for layer in dict.fromkeys(hook["layer"] for hook in hooks):
        names = [h["function"] for h in hooks if (h["layer"], h["state"]) == (layer, "attached")]
        log.info("attached, %s layer: %s", layer, ", ".join(names) or "nothing")
    for hook in hooks:
        if hook["state"] != "attached":
            level = logging.WARNING if hook["state"] == "failed" else logging.INFO
            log.log(level, "%s: %s: %s", hook["state"], hook["function"], _line(hook["why"]))
    log.info("attach mode: %s", report["mode"])
    for spot in blind_spots.for_mode(Mode(report["mode"])):
        log.info("not traced: %s", spot)


def _line(text: str) -> str:
    """The first line of what may be a verifier's log."""
    return text.strip().partition("\n")[0]


def version() -> str:
    """The version of the installed package; ``unknown`` in a tree that is not installed."""
    try:
        return metadata.version("fdscope")
    except metadata.PackageNotFoundError:
        return "unknown"


def _run_exporter(arguments: argparse.Namespace) -> int:
    options = config.load(vars(arguments), os.environ)
    _start_logging(options.log_level)
    log.info("fdscope %s", version())
    return run_exporter(options)


def _start_logging(level: str) -> None:
    # A reader of standard error that has left is no reason to write about it there.
    logging.raiseExceptions = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    if level != "debug":
        for name in _NOISY_LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)


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

Each option can also stand in the configuration file, in the table that its first word names;
flags win over the file:
  exclude-self = true
  [web]
  listen-address = ["127.0.0.1:20253"]
  [process]
  max-series = 500""",
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
    except (RunError, server.BindError) as error:
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
