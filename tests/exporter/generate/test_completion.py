# SPDX-License-Identifier: GPL-2.0-only
"""Completion, as a user at the keyboard of bash and zsh has it."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from fdscope.exporter.cli.main import commands_of, parser
from fdscope.probes.schema.taxonomy import EventKind

shtab = pytest.importorskip("shtab", reason="without shtab there is no completion to be made")

CASES = [
    ("fdscope sel\t", "selftest"),
    ("fdscope top --theme=li\t", "top --theme=light"),
    ("fdscope top --sort op\t", "top --sort operations"),
    ("fdscope top --sort=op\t", "top --sort=operations"),
    ("fdscope files --control /proc/versi\t", "files --control /proc/version"),
    ("fdscope files --control=/proc/versi\t", "files --control=/proc/version"),
    ("fdscope files fdscope-te\t", "files fdscope-test-1"),
    ("fdscope files fdscope\\$\t", "files fdscope$"),
    ("fdscope run -- unam\t", "run -- uname"),
    ("fdscope events --kind exec\t", "events --kind exec_on_socket"),
    ("fdscope doctor --mode kp\t", "doctor --mode kprobe"),
]


class Shell:
    """An interactive shell on a pseudoterminal."""

    def __init__(self, command: list[str]) -> None:
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.environ.update(PS1="$ ", TERM="dumb", HISTFILE="/dev/null", INPUTRC="/dev/null")
            os.execvp(command[0], command)  # noqa: S606 - the shell
        self.until("$ ")

    def until(self, end: str, start: str = "") -> str:
        """What it writes, up to this."""
        seen = start
        deadline = time.monotonic() + 20
        while end not in seen:
            assert time.monotonic() < deadline, (end, seen)
            if select.select([self.fd], [], [], 0.1)[0]:
                seen += os.read(self.fd, 65536).decode(errors="replace")
        return seen

    def type(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def close(self) -> None:
        os.close(self.fd)
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)


@pytest.fixture(scope="module")
def processes() -> Iterator[None]:
    """Two processes, one with a name that a shell would run."""
    code = "import sys\nopen('/proc/self/comm', 'w').write(sys.argv[1])\nprint()\nsys.stdin.read()"
    started = []
    for name in ("fdscope-test-1", "fdscope$(>/x)"):
        child = subprocess.Popen(
            [sys.executable, "-c", code, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert child.stdout
        child.stdout.read(1)
        started.append(child)
    yield
    for child in started:
        child.communicate()


@lru_cache
def text_of(shell: str) -> str:
    module = "fdscope.exporter.generate.completion"
    return subprocess.run(
        [sys.executable, "-m", module, shell], stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def script(shell: str, path: Path) -> Path:
    path.write_text(text_of(shell))
    return path


_ECHO = "fdscope() { printf '<%s>' \"$@\"; echo '[E''ND]'; }; echo re''ady\n"
"""Instead of the command: shows what it gets."""


@pytest.fixture(scope="module", params=["bash", "zsh"])
def shell(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shell]:
    kind = request.param
    if not shutil.which(kind):
        pytest.skip(f"no {kind} here")
    folder = tmp_path_factory.mktemp(kind)
    if kind == "bash":
        made = Shell(["bash", "--norc", "--noprofile", "-i"])
        made.type(f"source {script('bash', folder / 'fdscope')};")
    else:
        script("zsh", folder / "_fdscope")
        made = Shell(["zsh", "-f", "-i"])
        made.type(f"fpath=({folder} $fpath); autoload -Uz compinit; compinit -u -d {folder}/dump")
        made.type("; ")
    made.type(_ECHO)
    made.until("ready\r\n")
    yield made
    made.close()


@pytest.mark.native
@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize(("keys", "line"), CASES)
def test_at_the_keyboard(shell: Shell, keys: str, line: str) -> None:
    """What the command gets."""
    shell.type(f"{keys}\n")
    seen = shell.until("[END]\r\n")
    (got,) = re.findall(r"<(.*)>\[END\]", seen)
    assert got.split("><") == line.split()
    assert not Path("/x").exists()


def test_every_option_of_every_command(tmp_path: Path) -> None:
    text = script("bash", tmp_path / "fdscope").read_text()
    for command, of in commands_of(parser()).items():
        (line,) = (
            each
            for each in text.splitlines()
            if each.startswith(f"_shtab_fdscope_{command}_option_strings=(")
        )
        words = line.partition("(")[2].rstrip(")").split()
        assert set(words) >= {name for action in of._actions for name in action.option_strings}
    assert all(kind.label in text for kind in EventKind)


@pytest.mark.parametrize("kind", ["bash", "zsh"])
def test_the_shell_can_read_it(kind: str, tmp_path: Path) -> None:
    if not shutil.which(kind):
        pytest.skip(f"no {kind} here")
    subprocess.run([kind, "-n", script(kind, tmp_path / "completion")], check=True)
