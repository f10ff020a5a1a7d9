# SPDX-License-Identifier: GPL-2.0-only
"""What the journal has written, read again: files that rotate, filters, hostile content."""

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdscope.exporter.journal import history
from fdscope.exporter.journal.history import Wanted
from fdscope.exporter.journal.model import line
from fdscope.exporter.journal.sinks.file import FileSink
from tests.exporter.journal import made
from tests.exporter.journal.made import EVENT

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", NOW - 90),
        ("10m", NOW - 600),
        ("2h", NOW - 7200),
        ("1d", NOW - 86400),
        ("1w", NOW - 604800),
        ("1970-01-01T00:00:07Z", 7.0),
        ("1970-01-01T01:00:07+01:00", 7.0),
    ],
)
def test_times(text: str, seconds: float) -> None:
    assert history.moment(text, NOW) == seconds


@pytest.mark.parametrize(
    "text", ["", "x", "10", "-1h", "1y", "99999-01-01", "1h1m", "9" * 50 + "s"]
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="no time"):
        history.moment(text, NOW)


def test_filters() -> None:
    told = json.loads(line(EVENT, "host"))
    assert Wanted().has(told)
    assert Wanted(frozenset({"stdio_socket", "fd_passed"}), "critical", NOW).has(told)
    assert not Wanted(frozenset({"fd_passed"})).has(told)
    assert not Wanted(since=NOW + 60).has(told)
    assert not Wanted(least="critical").has(told | {"severity": "warning"})


def written(path: Path, numbers: Iterator[int], count: int) -> None:
    sink = FileSink(path, 64, 50)
    sink.write([made.line(number) for number in islice(numbers, count)])
    sink.close()


def numbers_in(lines: Iterator[bytes]) -> Iterator[int]:
    return (json.loads(each)["n"] for each in lines)


def test_older_files_come_first(tmp_path: Path) -> None:
    path = tmp_path / "events"
    written(path, iter(range(100)), 100)
    assert len(list(tmp_path.iterdir())) > 5
    assert list(numbers_in(history.lines(path, follow=False))) == list(range(100))


def test_following_a_file_that_rotates(tmp_path: Path) -> None:
    path, numbers = tmp_path / "events", iter(range(1000))
    written(path, numbers, 3)
    # Each wait of the reader is the time of the writer.
    lines = history.lines(path, follow=True, wait=lambda _: written(path, numbers, 3))
    assert list(islice(numbers_in(lines), 100)) == list(range(100))


def test_following_a_line_that_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_text('{"n":')

    def write(_: float) -> None:
        with path.open("a") as file:
            file.write('7}\n{"n":8}\n')

    assert list(islice(numbers_in(history.lines(path, True, write)), 2)) == [7, 8]


def test_words() -> None:
    shown = history.in_words(json.loads(line(EVENT, "host")))
    first, *others = shown.splitlines()
    assert first.endswith("CRITICAL bash put a socket there")
    assert "    command: bash -i" in others
    assert "    started by: sshd (7), systemd (1)" in others
    assert "    to: 10.0.0.2:4444" in others
    assert "    kind and rule: stdio_socket, shell_stdio_is_socket" in others


ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.just("\x1b[2J\n")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=5,
)
FIELDS = ("time", "severity", "kind", "rule", "text", "process", "other", "file", "runbook")
PROCESS = ("command", "program", "terminal", "parents", "command_is_cut")


@given(
    told=st.dictionaries(st.sampled_from(FIELDS), ANYTHING),
    who=st.dictionaries(st.sampled_from(PROCESS), ANYTHING),
)
def test_a_file_of_somebody_else(told: dict[str, Any], who: dict[str, Any]) -> None:
    """Whatever it holds: words that a terminal shows harmlessly."""
    raw = json.dumps({"version": 1, "kind": "x"} | told | {"process": who}).encode()
    event = history.event_in(raw)
    assert event is not None
    Wanted(frozenset({"x"}), "warning", NOW).has(event)
    assert all(each.isprintable() for each in history.in_words(event).split("\n"))
    assert history.as_json(event).isprintable()


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b"{}", b'{"kind":1}', b"[" * 100_000])
def test_what_is_no_event(raw: bytes) -> None:
    assert history.event_in(raw) is None


# The command.


def command(*arguments: str, text: str = "") -> "subprocess.CompletedProcess[str]":
    code = "import sys; from fdscope.exporter.cli.main import main; sys.exit(main(sys.argv[1:]))"
    whole = [sys.executable, "-c", code, "events", *arguments]
    return subprocess.run(whole, input=text, capture_output=True, text=True, check=False)


def test_the_command(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_text(f"{line(EVENT, 'host')}\nnot an event\n")
    done = command("--kind", "stdio_socket", str(path))
    assert done.returncode == 0
    assert "CRITICAL bash put a socket there" in done.stdout
    assert done.stderr == "fdscope events: 1 lines are no events\n"
    done = command("--json", "-", text=path.read_text())
    assert json.loads(done.stdout)["kind"] == "stdio_socket"
    assert command("--kind", "fd_passed", str(path)).stdout == ""


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["/nonexistent"], 1, "there is no file /nonexistent: give the exporter --journal.file"),
        (["/"], 1, "/ cannot be read: Is a directory"),
        (["--since", "x\x1b"], 2, r"'x\x1b' is no time such as 10m"),
        (["--kind", "x"], 2, "invalid choice: 'x'"),
    ],
)
def test_wrong_arguments(arguments: list[str], status: int, text: str) -> None:
    done = command(*arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert text in done.stderr
    assert done.stderr.count("\n") == 1
