# SPDX-License-Identifier: GPL-2.0-only
"""Manual pages: all options of all commands, without a complaint of those who read roff."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fdscope.exporter.cli.main import commands_of, parser
from fdscope.exporter.generate import man_pages

COMMANDS = commands_of(parser())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("man")
    for name, text in man_pages.pages().items():
        (made / name).write_text(text)
    return made


def read(command: list[str]) -> str:
    if not shutil.which(command[0]):
        pytest.skip(f"no {command[0]} here")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def test_a_page_for_each_command(folder: Path) -> None:
    expected = {"fdscope.1", *(f"fdscope-{command}.1" for command in COMMANDS)}
    assert {page.name for page in folder.iterdir()} == expected
    text = (folder / "fdscope.1").read_text()
    assert all(f".BR fdscope\\-{command} (1)\n" in text for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_there(command: str, folder: Path) -> None:
    text = (folder / f"fdscope-{command}.1").read_text().replace("\\-", "-")
    for action in COMMANDS[command]._actions:
        for name in action.option_strings:
            assert re.search(rf"^\.B .*{re.escape(name)}\b", text, re.MULTILINE), name
    assert ".SH EXAMPLES" in text
    (example, *_) = re.findall(r"\.SH EXAMPLES\n\.nf\n\.RS 4\n(.*)", text)
    assert "fdscope" in example


@pytest.mark.parametrize("program", [["mandoc", "-T", "lint", "-W", "warning"],
                                     ["groff", "-man", "-ww", "-T", "utf8", "-z"]])  # fmt: skip
def test_no_complaints(program: list[str], folder: Path) -> None:
    for page in sorted(folder.iterdir()):
        assert read([*program, str(page)]) == ""


def test_what_a_reader_sees(folder: Path) -> None:
    shown = read(["mandoc", "-T", "ascii", "-O", "width=100", str(folder / "fdscope-top.1")])
    plain = re.sub(".\b", "", shown)
    assert "\n       sudo fdscope top --once --sort operations | head -20\n" in plain.replace(
        "\n           sudo", "\n       sudo"
    )
    assert "--probe.mode {auto,fentry,kprobe,tracepoint}" in plain
    assert "0 for success" in plain


def test_lines_that_roff_would_take_for_requests() -> None:
    assert man_pages._escaped(".so x\n'y\na\\b-c") == "\\&.so x\n\\&'y\na\\eb\\-c"
