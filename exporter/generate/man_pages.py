# SPDX-License-Identifier: GPL-2.0-only
"""Writes fdscope(1) and a manual page for each command, made of their parsers.

``python -m fdscope.exporter.generate.man_pages FOLDER``
"""

import argparse
import os
import re
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

from fdscope.exporter.cli.main import commands_of, parser, purposes
from fdscope.exporter.preconditions import version

_STATUS = """\
0 for success, also after SIGTERM and Ctrl-C; 1 for a failure at run time; 2 for wrong usage or
configuration."""


def pages() -> dict[str, str]:
    """The text of each page by its file name, in roff with the macros of man(7)."""
    top = parser()
    commands = commands_of(top)
    found = {"fdscope.1": _page("fdscope", "I/O per process and file descriptor type", top)}
    for command, purpose in purposes(top).items():
        name = f"fdscope-{command}"
        found[f"{name}.1"] = _page(name, purpose, commands[command])
    return found


def _page(name: str, purpose: str, of: argparse.ArgumentParser) -> str:
    seconds = float(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    day = time.strftime("%Y-%m-%d", time.gmtime(seconds))
    parts = [
        f'.TH {name.upper()} 1 {day} "fdscope {version()}" "User Commands"',
        ".nh",
        ".ad l",
        ".SH NAME",
        f"{_escaped(name)} \\- {_escaped(purpose)}",
        ".SH SYNOPSIS",
        _synopsis(of),
        ".SH DESCRIPTION",
    ]
    body, sections = _description(of)
    parts += [body, *_options(of), *sections]
    if name != "fdscope-run":  # its own are in its description
        parts += [".SH EXIT STATUS", _flowing(_STATUS)]
    parts += [".SH SEE ALSO", _see_also(name)]
    return "\n".join(part for part in parts if part) + "\n"


def _flowing(text: str) -> str:
    return _escaped(textwrap.fill(text, 70, break_long_words=False, break_on_hyphens=False))


def _escaped(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^(?=[.'])", r"\\&", text, flags=re.MULTILINE)


def _synopsis(of: argparse.ArgumentParser) -> str:
    usage = " ".join(of.format_usage().removeprefix("usage: ").split())
    arguments = _flowing(usage.removeprefix(of.prog).strip())
    return f".B {_escaped(of.prog)}\n{arguments}"


def _description(of: argparse.ArgumentParser) -> tuple[str, list[str]]:
    """The text; and its blocks with a title, such as ``examples:``, as sections of their own."""
    body: list[str] = []
    sections: list[str] = []
    for block in re.split(r"\n\s*\n", (of.description or "").strip("\n")):
        first, *rest = block.splitlines()
        if rest and re.fullmatch("[a-z]+:", first):
            sections += [f".SH {first[:-1].upper()}", *_as_it_is(rest)]
            continue
        body.append(".PP" if body else "")
        flowing = [line for line in block.splitlines() if not line.startswith("  ")]
        body.append(_flowing(" ".join(flowing)))
        body += _as_it_is([line for line in block.splitlines() if line.startswith("  ")])
    return "\n".join(line for line in body if line), sections


def _as_it_is(lines: list[str]) -> list[str]:
    if not lines:
        return []
    text = "\n".join(line.removeprefix("  ") for line in lines)
    return [".nf", ".RS 4", _escaped(text), ".RE", ".fi"]


def _options(of: argparse.ArgumentParser) -> Iterator[str]:
    if known := purposes(of):
        yield ".SH COMMANDS"
        for command, purpose in known.items():
            yield f".TP\n.BR fdscope\\-{command} (1)\n{_escaped(purpose)}"
    yield ".SH OPTIONS"
    formatter = of._get_formatter()
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            continue
        names = formatter._format_action_invocation(action)
        yield f".TP\n.B {_escaped(names)}\n{_flowing(formatter._expand_help(action))}"


def _see_also(name: str) -> str:
    if name == "fdscope":
        return ".BR lsof (8),\n.BR strace (1),\n.BR bpf (2)"
    return ".BR fdscope (1)"


def main() -> None:
    """Write all pages into the folder that is named."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main()
