# SPDX-License-Identifier: GPL-2.0-only
"""Child processes that run fdscope's own code, and find it nowhere but where the parent found it.

A child starts in ``/``, with an environment that holds nothing of its parent's, and with Python's
isolated mode: no working directory, no PYTHONPATH, no user's site directory is searched for code,
and no variable directs BCC, clang or the dynamic linker elsewhere. It ends with its parent.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import IO

_ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/",
    "LC_ALL": "C.UTF-8",
    # numpy would start a thread for each CPU.
    "OPENBLAS_NUM_THREADS": "1",
}
_PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h
_START = """\
import sys
folder, starter = sys.argv[1:3]
if folder and folder not in sys.path:
    sys.path.insert(0, folder)
import importlib
importlib.import_module(starter).run(*sys.argv[3:])
"""
"""The code of the interpreter: it imports nothing of fdscope before ``sys.path`` is set."""


def _folder() -> str:
    """The folder in which the import system finds this package; empty if its name is not its path.

    That is so for an editable installation under another name: there the interpreter's own site
    directory says where it is.
    """
    module = Path(__file__).absolute().with_suffix("")
    name = __name__.split(".")
    return str(module.parents[len(name) - 1]) if list(module.parts[-len(name) :]) == name else ""


def command(module: str, *arguments: str) -> list[str]:
    """The command line of a child that calls ``main(*arguments)`` of a module of this package.

    ``module`` is its name below the package, such as ``loader``.
    """
    interpreter = [sys.executable or "/proc/self/exe", "-I"]
    if sys.dont_write_bytecode:
        interpreter.append("-B")
    wanted = f"{__name__.rpartition('.')[0]}.{module}"
    return [*interpreter, "-c", _START, _folder(), __name__, wanted, str(os.getpid()), *arguments]


def start(
    module: str,
    *arguments: str,
    commands: int = subprocess.DEVNULL,
    output: int | IO[bytes],
    errors: int | IO[bytes],
    pass_fds: Sequence[int] = (),
) -> "subprocess.Popen[bytes]":
    """Start a child; OSError if the operating system refuses.

    A Ctrl-C at the terminal does not reach it: its parent decides.
    """
    return subprocess.Popen(
        command(module, *arguments),
        stdin=commands,
        stdout=output,
        stderr=errors,
        pass_fds=pass_fds,
        cwd="/",
        env=_ENVIRONMENT,
        process_group=0,
    )


def end_with_parent(parent: int) -> None:
    """Be killed by the kernel when the process ``parent`` ends; at once if it has ended already.

    For a process that ``parent`` has started.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def run(module: str, parent: str, *arguments: str) -> None:
    """Call ``main(*arguments)`` of a module, in a child that ``start`` has started."""
    end_with_parent(int(parent))
    # A service manager sends SIGTERM to all processes of a service: the parent stops us.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    import_module(module).main(*arguments)
