# SPDX-License-Identifier: GPL-2.0-only
"""Writes completion for bash or zsh, made by shtab of the parsers.

``python -m fdscope.exporter.generate.completion bash|zsh``
"""

import argparse
import re
import sys
from typing import Any

import shtab

from fdscope.exporter.cli.main import commands_of, parser, purposes

_FILES, _FOLDERS = ("FILE", "PATH"), ("DIR", "DIRECTORY")
"""Metavars."""

_PROCESSES = {"bash": "_fdscope_processes", "zsh": "_fdscope_processes"}
_COMMANDS = {"bash": "_fdscope_programs", "zsh": "_command_names -e"}

# Names of processes are other people's words: only harmless ones are offered, and none is expanded.
_PREAMBLE = {
    "bash": r"""
_fdscope_processes() {
  local folder name
  for folder in /proc/[0-9]*; do
    { read -r name < "$folder/comm"; } 2>/dev/null || continue
    for name in "${folder#/proc/}" "$name"; do
      [[ $name == "$1"* && $name =~ ^[A-Za-z0-9_.:@-]+$ ]] && printf '%s\n' "$name"
    done
  done | sort -u
}

_fdscope_programs() {
  compgen -c -- "$1" | sort -u
}

# Bash makes three words of --option=value.
_fdscope() {
  local words=() cword=0 n
  for n in "${!COMP_WORDS[@]}"; do
    if [[ ${COMP_WORDS[n]} == = && $n -gt 0 && ${COMP_WORDS[n-1]} == --* ]]; then
      [[ $n -ne $COMP_CWORD ]] || { words+=(""); cword=$((${#words[@]} - 1)); }
      continue
    fi
    words+=("${COMP_WORDS[n]}")
    [[ $n -ne $COMP_CWORD ]] || cword=$((${#words[@]} - 1))
  done
  local COMP_WORDS=("${words[@]}") COMP_CWORD=$cword
  _shtab_fdscope
}
""",
    "zsh": r"""
_fdscope_processes() {
  local -a names
  local folder name
  for folder in /proc/[0-9]*(N); do
    { read -r name < $folder/comm } 2>/dev/null || continue
    for name in ${folder#/proc/} $name; do
      [[ $name =~ '^[A-Za-z0-9_.:@-]+$' ]] && names+=($name)
    done
  done
  compadd -- ${(u)names}
}
""",
}


def script(shell: str) -> str:
    """The text of the completion for a shell, bash or zsh."""
    top = parser()
    for of in (top, *commands_of(top).values()):
        for action in of._actions:
            _say_what_it_takes(action)
    for name, purpose in purposes(top).items():
        commands_of(top)[name].description = purpose
    text: str = shtab.complete(top, shell, root_prefix="fdscope", preamble=_PREAMBLE[shell])
    if shell == "bash":
        return text.replace("-F _shtab_fdscope fdscope", "-F _fdscope fdscope") + "\n"
    # A value may also follow the equals sign.
    return re.sub(r'^(  "\*?--[\w.-]+)(\[.*\]:)', r"\1=\2", text, flags=re.MULTILINE)


def _say_what_it_takes(action: argparse.Action) -> None:
    """Tell shtab what completes the argument of an option, as its metavar says."""
    complete: Any = None
    if action.metavar in _FILES:
        complete = shtab.FILE
    elif action.metavar in _FOLDERS:
        complete = shtab.DIRECTORY
    elif action.metavar == "PID|NAME|UNIT":
        complete = _PROCESSES
    elif action.nargs == argparse.REMAINDER:
        complete = _COMMANDS
    if complete:
        action.complete = complete  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.stdout.write(script(sys.argv[1]))
