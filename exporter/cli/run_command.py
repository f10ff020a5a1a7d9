# SPDX-License-Identifier: GPL-2.0-only
"""``fdscope run``: runs a command and reports where its bytes went, file by file."""

import argparse
import errno
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from fdscope.exporter.cli import lenses
from fdscope.exporter.preconditions import RunError
from fdscope.exporter.settings.strict import ConfigError
from fdscope.exporter.spotlight.report import Document, run_text
from fdscope.probes.text import printable

if TYPE_CHECKING:
    from io import FileIO

    from fdscope.exporter.spotlight.lens import Lens

NOT_FOUND, CANNOT_RUN = 127, 126
"""Exit statuses of a shell."""
_SIGNALLED = 128

_PASSED_ON = frozenset(
    {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2}
    | {signal.SIGALRM, signal.SIGCONT, signal.SIGWINCH}
)
"""Signals that the command gets instead of fdscope."""
_FROM_TERMINAL = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGWINCH})
_SI_KERNEL = 0x80
"""si_code of a signal that the terminal sends to the whole process group."""
_DEFAULTS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals whose action Python or fdscope has changed."""
_POLL_SECONDS = 0.25


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``fdscope run``."""
    lenses.add_arguments(parser)
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="Write the report to this file instead of standard error.",
    )
    parser.add_argument(
        "argv", nargs=argparse.REMAINDER, metavar="-- COMMAND ...", help="The command to run."
    )


def run(arguments: argparse.Namespace, tell: Callable[[str], None]) -> int:
    """Run the command; its exit status. RunError, ConfigError if it cannot be watched."""
    argv: list[str] = arguments.argv
    if argv[:1] == ["--"]:
        argv = argv[1:]
    if not argv:
        raise ConfigError("name a command to run, such as: fdscope run -- cat /etc/hostname")
    with _output(arguments.output) as tell_user, lenses.opened(arguments, tell) as lens:
        started = _start(argv)
        try:
            lens.watch(started.pid, True)
            ending = _follow(started)
        except BaseException:
            started.kill()
            raise
        report = _report(argv, ending, lens)
        text = json.dumps(report, indent=2) if arguments.json else run_text(report)
        tell_user(text)
    return ending.status


@contextmanager
def _output(path: str | None) -> Iterator[Callable[[str], None]]:
    """A function that writes the report; ConfigError before the command runs if it cannot be."""
    if path is None:
        yield lambda text: print(text, file=sys.stderr)
        return
    try:
        # Without a buffer: what cannot be written fails once, and not again at the end.
        file = Path(path).open("wb", buffering=0)  # noqa: SIM115 - closed below
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"--output: cannot write to {printable(path)}: {why}") from error
    with file:
        yield lambda text: _write(file, f"{text}\n".encode(errors="backslashreplace"))


def _write(file: "FileIO", text: bytes) -> None:
    try:
        while text:
            text = text[file.write(text) or 0 :]
    except OSError as error:
        raise RunError(f"the report cannot be written: {error.strerror}") from error


@dataclass(slots=True)
class _Started:
    """The child, stopped before it becomes the command."""

    pid: int
    failure: int
    """Pipe that brings the errno if the command cannot be executed; closed by the exec."""
    began: float = 0.0

    def kill(self) -> None:
        """End it: it is not to run unwatched."""
        with suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


@dataclass(frozen=True, slots=True)
class _Ending:
    """How the command ended."""

    status: int
    signal: str | None
    seconds: float


def _start(argv: Sequence[str]) -> _Started:
    """Fork; the child stops itself, and executes the command when it is continued."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON | {signal.SIGCHLD})
    ours, theirs = os.pipe()
    try:
        child = os.fork()
    except OSError as error:
        raise RunError(f"no process for the command: {error.strerror}") from error
    if child == 0:
        _become(argv, theirs)
    os.close(theirs)
    _, status = os.waitpid(child, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        raise RunError("the process for the command ended before it ran")
    return _Started(child, ours)


def _become(argv: Sequence[str], failure: int) -> NoReturn:
    """In the child: stop, then be the command with the signals and variables of our own start."""
    try:
        environment = _environment()
        for number in _DEFAULTS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON | {signal.SIGCHLD})
        os.kill(os.getpid(), signal.SIGSTOP)
        os.execvpe(argv[0], list(argv), environment)  # noqa: S606 - the user's own command
    except OSError as error:
        os.write(failure, (error.errno or errno.ENOEXEC).to_bytes(4, "little"))
    except ValueError:
        os.write(failure, errno.EINVAL.to_bytes(4, "little"))
    finally:
        os._exit(CANNOT_RUN)


def _environment() -> dict[bytes, bytes]:
    """The variables that fdscope was started with: it has set some for itself."""
    entries = Path("/proc/self/environ").read_bytes().split(b"\0")
    pairs = (entry.partition(b"=") for entry in entries if b"=" in entry)
    return {name: value for name, _, value in pairs if name}


def _follow(started: _Started) -> _Ending:
    """Let the command run until it ends; pass signals on."""
    began = time.monotonic()
    os.kill(started.pid, signal.SIGCONT)
    status = None
    while status is None:
        told = signal.sigtimedwait(_PASSED_ON | {signal.SIGCHLD}, _POLL_SECONDS)
        if told is not None and told.si_signo != signal.SIGCHLD:
            from_terminal = told.si_code == _SI_KERNEL and told.si_signo in _FROM_TERMINAL
            if not from_terminal:  # else it has got it already
                with suppress(ProcessLookupError):
                    os.kill(started.pid, told.si_signo)
        status = _ended(started.pid)
    seconds = time.monotonic() - began
    with os.fdopen(started.failure, "rb") as failure:
        refused = failure.read(4)
    if refused:
        number = int.from_bytes(refused, "little")
        is_missing = number in (errno.ENOENT, errno.ENOTDIR)
        why = "command not found" if is_missing else os.strerror(number)
        raise CommandError(why, NOT_FOUND if is_missing else CANNOT_RUN)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        return _Ending(_SIGNALLED + number, name, seconds)
    return _Ending(os.WEXITSTATUS(status), None, seconds)


class CommandError(Exception):
    """The command cannot be executed; (why, exit status)."""


def _ended(pid: int) -> int | None:
    """The status of the command, if it has ended; if it was stopped, this process stops too."""
    found, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
    if not found:
        return None
    if os.WIFSTOPPED(status):
        os.kill(os.getpid(), signal.SIGSTOP)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
        return None
    return status


def _report(argv: Sequence[str], ending: _Ending, lens: "Lens") -> Document:
    seen = lens.look()
    return {
        "command": [printable(part) for part in argv],
        "exit_status": None if ending.signal else ending.status,
        "signal": ending.signal,
        "seconds": round(ending.seconds, 6),
        **seen,
    }
