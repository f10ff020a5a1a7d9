# SPDX-License-Identifier: GPL-2.0-only
"""The log: one record is one line, whatever its message holds."""

import json
import logging
import os
import pty
import re
import sys
from collections.abc import Iterator

import pytest

from fdscope.exporter import logs

HOSTILE = 'a "b"\\ c=d\nERROR forged\x1b[31m\u202e\udcff'
TIME = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ"


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    """Give the root logger back as it was."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before


def logged(
    form: str, capsys: pytest.CaptureFixture[str], environment: dict[str, str] | None = None
) -> list[str]:
    """The log of two records, the second with a traceback."""
    logs.start_logging("info", form, environment or {})
    log = logging.getLogger("test")
    log.warning("%s", HOSTILE)
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        log.exception("failed")
    return capsys.readouterr().err.splitlines()


def test_logfmt(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = logged("logfmt", capsys)
    escaped = r"a \"b\"\\ c=d\nERROR forged\u001b[31m\u202e\xff"
    found = re.fullmatch(f"time={TIME} level=WARNING msg=(.*)", first)
    assert found
    assert found[1] == f'"{escaped}"'
    assert re.match(f'time={TIME} level=ERROR msg="failed" error="Traceback ', second)
    assert second.isprintable()


@pytest.mark.parametrize(("terminal", "bold"), [("xterm", True), ("dumb", False), ("", False)])
def test_a_terminal_shows_what_stands_out_in_bold(
    terminal: str, bold: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = pty.openpty()
    with os.fdopen(reader, "rb") as ours, os.fdopen(writer, "w") as theirs:
        monkeypatch.setattr(sys, "stderr", theirs)
        logs.start_logging("info", "auto", {"TERM": terminal} if terminal else {})
        logging.getLogger("test").info("plain")
        logging.getLogger("test").info("%s", HOSTILE, extra=logs.STANDS_OUT)
        lines = [ours.readline().decode().rstrip("\r\n") for _ in range(2)]
    assert not lines[0].startswith("\x1b")
    assert lines[1].startswith("\x1b[1mtime=") is bold
    assert lines[1].removeprefix("\x1b[1m").removesuffix("\x1b[0m").isprintable()


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (json.loads(line) for line in logged("json", capsys))
    assert list(first) == ["time", "level", "msg"]
    assert re.fullmatch(TIME, first["time"])
    assert (first["level"], first["msg"]) == ("WARNING", HOSTILE.replace("\udcff", r"\udcff"))
    assert list(second) == ["time", "level", "msg", "error"]
    assert "ValueError: a " in second["error"]


def test_systemd(capsys: pytest.CaptureFixture[str]) -> None:
    first, second, *traceback = logged("systemd", capsys)
    assert first == r'<4>a "b"\ c=d\x0aERROR forged\x1b[31m\u202e\xff'
    assert second == "<3>failed"
    assert traceback
    assert all(re.match("<3>  ", line) and line.isprintable() for line in traceback)


def test_auto_is_for_the_journal_where_standard_error_is_the_journal(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", os.fdopen(2, "w", closefd=False))
    status = os.fstat(2)
    journal = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    for environment, start in (
        (journal, "<4>"),
        ({}, "time="),
        ({"JOURNAL_STREAM": "1:2"}, "time="),
    ):
        logs.start_logging("info", "auto", environment)
        logging.getLogger("test").warning("x")
        assert capfd.readouterr().err.startswith(start)
