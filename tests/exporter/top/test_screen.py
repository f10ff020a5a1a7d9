# SPDX-License-Identifier: GPL-2.0-only
"""The screen, driven by urwid's own driver for tests."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fdscope.exporter.spotlight.client import ControlError
from fdscope.exporter.top import screen
from fdscope.exporter.top.rates import Order
from fdscope.exporter.top.screen import Top, fit
from tests.exporter.top.made import FakeLens, file, files, host, moved, operation, process

urwid = pytest.importorskip("urwid", reason="without urwid there is no screen")
testing = pytest.importorskip("urwid.testing", reason="this urwid has no driver for tests")


def at_work(look: int) -> dict[str, Any]:
    """The host after so many seconds."""
    return host(
        float(look),
        process(11, "reader", {"tcp": 1}, tcp=moved(2_000_000 * look, 0, 40 * look, 8 * look)),
        process(22, "writer", {"fifo": 2}, fifo=moved(0, 500 * look, 90 * look)),
        process(404, "leaving", {"regular": 1}),
        process(33, "日本語\x1b[2J" + "x" * 60, {"regular": 1}, regular=moved(7 * look, 0, look)),
    )


LOG = file(
    3, "/var/log/" + "deep/" * 20 + "the.log", "regular",
    operation("write", 5, 500), operation("write", 2, 0, "ENOSPC"), position=500,
)  # fmt: skip
PIPE = file(
    4, "pipe:[77]", "fifo", operation("read", 1, 9),
    peers=[{"pid": 11, "process": "reader", "fd": 7}], receive_queue=None,
)  # fmt: skip
FILES = files(22, 0.5, LOG, PIPE)


class Driver:
    """The program on a screen of urwid's that is no terminal."""

    def __init__(self, lens: FakeLens, size: tuple[int, int] = (80, 24)) -> None:
        self.lens = lens
        self.screen = testing.ScriptedScreen(size=size)
        self.top = Top(lens, 0.05, Order.BYTES, "dark", self.screen)
        self.top._feed.start()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.top.loop.process_input([key])

    def resize(self, *size: int) -> None:
        self.screen.size = size
        self.top.loop.screen_size = None  # as after SIGWINCH

    def text(self) -> str:
        if self.top._feed.last:
            self.top.show(self.top._feed.last)
        self.top.loop.draw_screen()
        return "\n".join(self.screen.last_text)

    def until(self, *words: str) -> str:
        """The screen, when it shows all these words."""
        return str(
            wait(lambda: shown if all(w in (shown := self.text()) for w in words) else "", words)
        )


def wait(condition: Callable[[], Any], what: object) -> Any:
    deadline = time.monotonic() + 20
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return found


@pytest.fixture
def driver() -> Iterator[Driver]:
    made = Driver(FakeLens(at_work, FILES))
    yield made
    made.top._feed.close()


def test_processes(driver: Driver) -> None:
    lines = driver.until("2.00MB/s", "by bytes").splitlines()
    assert (len(lines), {len(line) for line in lines if line.isascii()}) == (24, {80})
    assert lines[0].split()[:6] == ["fdscope", "top", "4", "processes", "by", "bytes"]
    assert lines[1].split() == ["T", "tcp", *(lines[1].split()[2:3]), "2.00MB/s"]
    assert lines[5].split() == ["PID", "PROCESS", "READ/s", "WRITE/s", "OPS/s", "ERR/s", "FDS",
                                "FD", "TYPES"]  # fmt: skip
    assert lines[6].split() == ["11", "reader", "2.00M", "-", "40", "8", "1", "T" * 14]
    assert lines[7].split() == ["22", "writer", "-", "500", "90", "-", "2", "P" * 14]
    assert "\x1b" not in "".join(lines)


def test_sorting_and_filter(driver: Driver) -> None:
    driver.until("2.00MB/s")
    driver.press("o")
    assert driver.until("by operations", "90 op/s").splitlines()[6].split()[1] == "writer"
    driver.press("/", *"READ")
    lines = driver.until("filter: READ", "/s").splitlines()
    assert [line.split()[1] for line in lines[6:8] if line.strip()] == ["reader"]
    # Keys of the program are letters here.
    driver.press(*"q ")
    assert "nothing matches the filter" in driver.until("filter: READq ")
    driver.press("backspace", "backspace", "enter")
    driver.until("by operations, filter: READ", "q quit")
    driver.press("esc")
    assert "filter:" not in driver.until("writer")


def test_into_a_process_and_a_file_and_back(driver: Driver) -> None:
    driver.until("2.00MB/s")
    assert driver.lens.done == []
    driver.press("down", "enter")
    lines = driver.until("writer (pid 22)", "2 open files", "the.log").splitlines()
    assert driver.lens.watched == [22]
    rows = {line.split()[0]: line for line in lines[6:8]}
    assert rows["3"].split()[1:2] == ["regular"]
    assert "…" in rows["3"]
    assert "pipe:[77] <-> reader[11]:7" in rows["4"]
    driver.press("n", "enter")
    text = driver.until("ENOSPC", "DOOR", "position")
    assert "".join(line.strip() for line in text.splitlines()[2:4]) == LOG["name"]
    found = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}
    assert found["access"] == ["rw", "NONBLOCK"]
    assert found["position"] == ["500"]
    assert [line.split() for line in text.splitlines() if "read_write" in line] == [
        ["read_write", "write", "5", "500", "-"],
        ["read_write", "write", "ENOSPC", "2", "0", "-"],
    ]
    driver.press("esc")
    driver.until("2 open files")
    assert driver.lens.watched == [22]
    driver.press("left")
    driver.until("fdscope top")
    wait(lambda: driver.lens.watched == [], "nothing is watched")
    assert driver.lens.done == ["watch 22", "unwatch"]


def test_a_file_that_is_closed_stays_as_last_seen() -> None:
    driver = Driver(FakeLens(at_work, FILES))
    driver.until("2.00MB/s")
    driver.press("down", "enter")
    driver.until("the.log")
    driver.press("n", "enter")
    driver.until("ENOSPC")
    driver.lens.shown = files(22, 2.0, PIPE)
    assert "ENOSPC" in driver.until("as last seen")
    driver.top._feed.close()


def test_what_was_lost_is_told() -> None:
    def losing(look: int) -> dict[str, Any]:
        return at_work(look) | {"unattributed": {"operations": 1000 * look, "bytes": 0}}

    lost = files(22, 0.5, PIPE)
    lost["processes"][0]["lost_operations"] = 17
    driver = Driver(FakeLens(losing, lost), size=(120, 24))
    driver.until("by bytes, 1,000 operations lost: a map is full")
    driver.press("down", "enter")
    driver.until("1 open file by bytes, 17 operations lost: a map is full")
    driver.top._feed.close()


def test_a_process_that_is_gone(driver: Driver) -> None:
    driver.until("2.00MB/s")
    driver.press("end", "enter")
    driver.until("404: there is no process with this pid", "reader")
    driver.press("p")
    assert "404: " not in driver.until("by pid")


def test_pause(driver: Driver) -> None:
    driver.until("2.00MB/s")
    driver.press(" ")
    assert "go on" in driver.until("PAUSED")
    last = driver.top._feed.last
    assert last
    wait(lambda: driver.top._feed._woken.wait(0.2) or True, "a moment")
    paused = driver.top._feed.last
    assert paused
    assert paused.number - last.number <= 1
    driver.press(" ")
    assert "PAUSED" not in driver.until("pause")
    wait(lambda: driver.top._feed.last.number > paused.number, "it goes on")  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [(79, 24), (80, 23), (20, 3), (1, 1)])
def test_a_small_terminal_is_told(driver: Driver, size: tuple[int, int]) -> None:
    driver.until("2.00MB/s")
    driver.resize(*size)
    text = driver.text()
    assert "fdscope" not in text or "This terminal has" in text
    if size[0] > 70:
        flat = " ".join(text.split())
        assert f"This terminal has {size[0]} columns and {size[1]} rows." in flat
        assert "fdscope top needs 80 and 24: make it larger" in flat
    with pytest.raises(urwid.ExitMainLoop):
        driver.press("q")
    driver.resize(120, 40)
    lines = driver.until("2.00MB/s").splitlines()
    assert (len(lines), len(lines[1])) == (40, 120)


def test_what_fails_ends_the_program() -> None:
    class Failing(FakeLens):
        def host(self) -> dict[str, Any]:
            raise ControlError("the exporter has closed the connection")

    made = testing.ScriptedScreen(size=(80, 24), inputs=[])
    top = Top(Failing(at_work, FILES), 0.05, Order.BYTES, "dark", made)
    with pytest.raises(ControlError, match="closed the connection"):
        top.run()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_themes(theme: str) -> None:
    """Colours for each kind; without colours all is still told apart by letters."""
    names = {name: (foreground, mono) for name, foreground, _, mono in screen.palette(theme)}
    kinds = [kind.label for kind in screen._KINDS]
    assert len({names[kind][0] for kind in kinds}) == len(kinds)
    assert {names[kind][1] for kind in kinds} == {"default"}
    assert len({letter for letter, *_ in screen._KINDS.values()}) == len(kinds)
    # Each is one that a terminal of 16 colours has.
    for name, foreground, background, mono in screen.palette(theme):
        testing.resolve_attr(name, [(name, foreground, background, mono)], colors=16)


@pytest.mark.parametrize(
    ("text", "width", "options", "shown"),
    [
        ("abc", 5, {}, "abc  "),
        ("abc", 5, {"right": True}, "  abc"),
        ("abcdef", 4, {}, "abc…"),
        ("abcdef", 4, {"tail": True}, "…def"),
        ("日本語", 6, {}, "日本語"),
        ("日本語", 5, {}, "日本…"),
        ("日本語", 4, {}, "日… "),
        ("日本語", 4, {"tail": True}, "…語 "),
        ("abc", 0, {}, ""),
    ],
)
def test_fit(text: str, width: int, options: dict[str, bool], shown: str) -> None:
    assert fit(text, width, **options) == shown
    assert urwid.calc_width(shown, 0, len(shown)) == width
