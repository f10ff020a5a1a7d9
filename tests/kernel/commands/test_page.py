# SPDX-License-Identifier: GPL-2.0-only
"""The live page in a real browser, over a real workload on the real kernel."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fdscope.exporter.families.owned import process_families
from fdscope.probes.hooks import blind_spots
from fdscope.probes.schema.taxonomy import Mode
from tests import ours
from tests.browser import browser as browser
from tests.exporter.serving import FakeCollector, running
from tests.kernel.commands.page_workload import BOLD, HOSTILE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ATTACH_SECONDS = 240.0
PATIENCE_MILLISECONDS = 240_000


@pytest.fixture(scope="module")
def exporter(
    browser: "Browser", tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[tuple[str, int]]":
    """Address and pid of the exporter, over a workload; it shows no other processes."""
    assert browser.is_connected()
    log = tmp_path_factory.mktemp("exporter") / "log"
    command = [
        *("exporter", "--web.listen-address=127.0.0.1:0", "--process.max-series=20000"),
        "--web.details",
    ]
    with (
        ours.own_unit() as unit,
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-m", "tests.ours", unit, *command], stderr=output, stdout=output
        ) as process,
    ):
        try:
            address = _address(process, log)
            with subprocess.Popen(
                [sys.executable, "-m", "tests.kernel.commands.page_workload"],
                start_new_session=True,
            ) as workload:
                yield address, process.pid
                os.killpg(workload.pid, signal.SIGKILL)
        finally:
            process.terminate()


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + ATTACH_SECONDS
    while True:
        if found := re.search(r'live page: (http://[^\s"]+)', log.read_text()):
            return found[1]
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


@pytest.fixture(params=[(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark")], ids=str)
def page(
    request: pytest.FixtureRequest, browser: "Browser", exporter: tuple[str, int]
) -> "Iterator[Page]":
    """The page at a width and in a colour scheme; complaints of the browser fail the test."""
    width, scheme = request.param
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, has_touch=width < 500
    )
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
    opened.goto(exporter[0])
    opened.locator(".sankey-link").nth(3).wait_for()
    yield opened
    context.close()
    assert complaints == []


wide = pytest.mark.parametrize("page", [(1280, "light")], indirect=True, ids=str)


def has_node(page: "Page", text: str) -> None:
    page.locator(".node-label", has_text=re.compile(f"^{re.escape(text)}$")).first.wait_for()


def nothing_is_wider_than_the_screen(page: "Page") -> None:
    root = page.locator("html")
    assert root.evaluate("e => e.scrollWidth <= e.clientWidth")
    cut = """e => [...e.querySelectorAll('.node-label')].filter(text => {
        const box = text.getBoundingClientRect();
        return box.left < 0 || box.right > innerWidth }).map(text => text.textContent)"""
    assert root.evaluate(cut) == []


def the_colour_scheme_is_followed(page: "Page") -> None:
    dark = page.locator("html").evaluate("() => matchMedia('(prefers-color-scheme: dark)').matches")
    background = page.locator("body").evaluate("e => getComputedStyle(e).backgroundColor")
    lightness = sum(int(part) for part in re.findall(r"\d+", background)[:3]) / 3
    assert (lightness < 64) if dark else (lightness > 192)
    ink = page.locator(".node-label").first.evaluate("e => getComputedStyle(e).fill")
    assert (sum(int(part) for part in re.findall(r"\d+", ink)[:3]) / 3 > 128) == dark


def test_the_picture_shows_the_way_of_the_bytes(page: "Page") -> None:
    for text in (
        "web-server", HOSTILE, BOLD, "unix-writer",
        "socket_call", "read_write", "sendfile",
        "tcp", "unix_stream", "regular",
        "tcp loopback",
    ):  # fmt: skip
        has_node(page, text)
    # As an fd type, and as the protocol behind it.
    page.locator(".node-label", has_text=re.compile("^unix_stream$")).nth(1).wait_for()
    row = page.locator("#flow-table tbody tr", has_text=HOSTILE).filter(has_text="socket_call")
    assert row.first.locator("td").all_text_contents()[:3] == [HOSTILE, "socket_call", "tcp"]
    nothing_is_wider_than_the_screen(page)
    the_colour_scheme_is_followed(page)


def exact_tcp_sent(page: "Page") -> int:
    row = page.locator("#ledger tbody tr", has_text="tcp sent").first
    socket_layer = row.locator("td").nth(2).inner_text()
    return int(re.sub(r"\D", "", socket_layer.partition(",")[0]))


def more_is_sent_than(page: "Page", amount: int) -> None:
    deadline = time.monotonic() + PATIENCE_MILLISECONDS / 1000
    while exact_tcp_sent(page) <= amount:
        assert time.monotonic() < deadline
        page.wait_for_timeout(100)


@wide
def test_the_numbers_move_and_the_ledger_closes(page: "Page") -> None:
    page.get_by_label("all since start").check()
    row = page.locator("#ledger tbody tr", has_text="tcp sent")
    row.first.get_by_text("0 ✓").wait_for()
    more_is_sent_than(page, exact_tcp_sent(page) + 100_000)


@wide
def test_pause_and_go_on(page: "Page") -> None:
    page.get_by_label("all since start").check()
    page.get_by_role("button", name="Pause").press("Enter")
    before = exact_tcp_sent(page)
    page.wait_for_timeout(5000)
    assert exact_tcp_sent(page) == before
    page.get_by_role("button", name="Go on").press("Enter")
    more_is_sent_than(page, before)


@wide
def test_names_of_processes_are_no_markup(page: "Page") -> None:
    page.locator("#processes tbody tr", has_text=BOLD).first.wait_for()
    assert page.locator("main script, #live b b, .plot tspan").count() == 0
    assert page.locator("#processes b", has_text=HOSTILE).first.inner_text() == HOSTILE


@wide
def test_one_direction_and_one_fd_type(page: "Page") -> None:
    page.get_by_role("radio", name="written").check()
    page.locator(".node-label", has_text="unix-reader").first.wait_for(state="detached")
    has_node(page, HOSTILE)
    page.get_by_label("fd type").select_option("unix_stream")
    page.locator("#processes tbody tr", has_text=HOSTILE).first.wait_for(state="detached")
    page.locator("#processes tbody tr", has_text="unix-writer").first.wait_for()


def test_a_socket_is_a_file_is_shown_first(page: "Page") -> None:
    page.get_by_text("Yes, a socket is a file here").wait_for()
    lanes = page.locator("#lanes")
    assert lanes.locator(".step3 .cell").all_inner_texts() == ["1\u202f000 B ✓"] * 4
    for function in ("sock_write_iter()", "tcp_sendmsg()", "tty_write()"):
        lanes.get_by_text(function).wait_for()
    assert page.locator("#doors-send").inner_text().count("1\u202f000 B ✓") == 1
    page.get_by_role("button", name="Run it again").click()
    page.get_by_text("makes the same system call four times").wait_for()
    page.get_by_text("Yes, a socket is a file here").wait_for()
    nothing_is_wider_than_the_screen(page)


@wide
def test_questions_are_answered_in_words(page: "Page") -> None:
    who = page.locator("#who", has_text=re.compile(r"[0-9.]+ [kM]B/s through \w+ on fds of type "))
    who.wait_for()
    assert who.inner_text().startswith(f"{HOSTILE}: ")
    page.locator("#where", has_text="% at").wait_for()


@wide
def test_a_process_alone_and_a_search(page: "Page") -> None:
    page.locator(".choice", has_text="web-server").first.click()
    page.get_by_text("Only web-server.").wait_for()
    page.locator(".node-label", has_text="unix-reader").first.wait_for(state="detached")
    page.get_by_role("button", name="Show all").click()
    has_node(page, "unix-reader")
    page.get_by_label("Find").fill("UNIX-w")
    page.locator(".node-label:not(.faint)", has_text="unix-writer").first.wait_for()
    page.locator(".node-label.faint", has_text="web-server").first.wait_for()
    page.locator("#processes tbody tr", has_text="web-server").first.wait_for(state="detached")


@wide
def test_the_last_hour_and_a_file_of_it(page: "Page", tmp_path: Path) -> None:
    deadline = time.monotonic() + PATIENCE_MILLISECONDS / 1000
    while int(page.locator("#time").get_attribute("max") or 0) < 2:
        assert time.monotonic() < deadline
        page.wait_for_timeout(500)
    page.locator("#time").focus()
    page.keyboard.press("ArrowLeft")
    page.get_by_role("status").filter(has_text="as it was at").wait_for()
    has_node(page, HOSTILE)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as a file").click()
    saved = tmp_path / "saved.html"
    download.value.save_as(saved)
    again = page.context.new_page()
    asked: list[str] = []
    again.on("request", lambda request: asked.append(request.url))
    again.goto(f"file://{saved}")
    has_node(again, HOSTILE)
    again.get_by_text("as it was at").wait_for()
    assert again.locator("script, button").count() == 0
    again.locator("#processes b", has_text=HOSTILE).first.wait_for()
    assert asked == [again.url]
    again.close()
    page.locator("#time").focus()
    page.keyboard.press("End")
    page.get_by_role("status").filter(has_text="live").wait_for()


SUBJECT = """
import os, socket, sys
open("/proc/self/comm", "w").write("page-subject")
for line in sys.stdin:
    exec(line)
    print(flush=True)
"""


@pytest.fixture
def subject() -> Iterator["subprocess.Popen[str]"]:
    """A process that runs each line of its standard input."""
    with subprocess.Popen(
        [sys.executable, "-c", SUBJECT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        do(process, "pass")
        yield process
        process.kill()


def do(process: "subprocess.Popen[str]", line: str) -> None:
    assert process.stdin
    assert process.stdout
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    assert process.stdout.readline() == "\n"


def written_by(address: str, name: str) -> int:
    """Bytes that processes of a name wrote, as /metrics has them."""
    with urllib.request.urlopen(f"{address}metrics") as answer:  # noqa: S310 - our own server
        text = answer.read().decode()
    pattern = rf'^fdscope_file_written_bytes_total{{.*process="{name}".*}} (\S+)$'
    return sum(int(float(value)) for value in re.findall(pattern, text, re.MULTILINE))


def watch(page: "Page", pid: int) -> None:
    page.get_by_label("pid").fill(str(pid))
    page.get_by_role("button", name="Watch it").press("Enter")
    page.locator("#look-sums", has_text="page-subject").wait_for()


def test_a_process_and_its_files(
    page: "Page", exporter: tuple[str, int], subject: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    path = tmp_path / f"{HOSTILE}\x1b\u202e{'n' * 200}"
    do(subject, "a, b = socket.socketpair()")
    before = written_by(exporter[0], "page-subject")
    watch(page, subject.pid)
    do(subject, f"f = open({str(path)!r}, 'wb', 0); f.write(b'x' * 54321)")
    do(subject, "a.send(b'y' * 111); b.recv(1000); k = [open('/etc/hostname') for _ in range(9)]")
    row = page.locator("#fds tbody tr", has_text="54\u202f321 B")
    row.wait_for()
    assert f"{HOSTILE}\\x1b\\u202en" in row.inner_text()
    assert page.locator("#look main, #look script, #fds b b").count() == 0
    page.get_by_text("5 more of /etc/hostname: search for it to see them.").wait_for()
    said = page.locator("#look-sums").inner_text()
    found = re.search(r"writes of ([0-9\u202f]+) B", said)
    assert found, said
    shown = int(found[1].replace("\u202f", ""))
    assert shown == written_by(exporter[0], "page-subject") - before
    page.locator(".life-label", has_text="regular /etc/hostname").nth(7).wait_for()
    assert "of which" in page.locator("#life-said").inner_text()
    row.get_by_role("button").first.press("Enter")
    done = page.locator("#file-done tbody tr")
    assert done.first.locator("td").all_inner_texts()[:5] == [
        "read_write", "write", "done", "1", "54\u202f321 B"
    ]  # fmt: skip
    page.get_by_text("not measured here").wait_for()
    page.get_by_role("region").get_by_role("button", name="Close").press("Enter")
    # The focus is back where it was, and stays there while the table is filled again.
    page.wait_for_timeout(5000)
    assert HOSTILE in page.evaluate("document.activeElement.textContent")
    nothing_is_wider_than_the_screen(page)
    subject.kill()
    page.locator("#look-status", has_text="has ended").wait_for()
    page.get_by_role("button", name="Stop watching").click()
    assert page.locator("#looked").is_hidden()


@wide
def test_a_click_on_a_process_watches_it(page: "Page") -> None:
    page.locator(".choice", has_text="web-server").first.click()
    row = page.locator("#fds tbody tr", has_text="tcp").filter(has_text="other end").first
    row.wait_for()
    row.get_by_role("button", name=re.compile(f"^{re.escape(HOSTILE)} ")).first.click()
    page.locator("#look-sums", has_text=HOSTILE).wait_for()


def test_who_talks_to_whom(page: "Page") -> None:
    page.locator("#processes tbody tr", has_text="pipe-writer").first.wait_for()
    page.get_by_role("button", name="Show who talks to whom").press("Enter")
    row = page.locator("#talk-table tbody tr", has_text="fifo").filter(has_text="pipe-writer")
    row.filter(has_text="pipe-reader").first.wait_for()
    page.locator("#arcs .arc:not(.unknown)").nth(2).wait_for()
    page.locator("#arcs .talker", has_text=HOSTILE).first.wait_for()
    assert page.locator("#talks script, #talk-table b b, #arcs tspan").count() == 0
    witnessed = page.locator("#talk-table tbody tr", has_text="tcp").filter(has_text="web-server")
    witnessed.filter(has_text="sent ").filter(has_text="received ").first.wait_for()
    page.locator("#talks-said", has_text="Most moves between").wait_for()
    nothing_is_wider_than_the_screen(page)
    page.get_by_role("button", name="Stop watching").last.click()
    assert page.locator("#talked").is_hidden()


def test_what_cannot_be_watched_is_said(browser: "Browser", exporter: tuple[str, int]) -> None:
    opened = browser.new_page()
    opened.goto(exporter[0])
    for typed, said in (
        ("no number", "type the number of a process"),
        (str(2**22 - 1), "there is no process with this pid"),
    ):
        opened.get_by_label("pid").fill(typed)
        opened.get_by_role("button", name="Watch it").click()
        opened.get_by_text(said).wait_for()
    opened.close()


@wide
def test_it_can_be_read_out(page: "Page") -> None:
    said = page.get_by_role("img").first.get_attribute("aria-label")
    assert said is not None
    assert re.search(r"\S+ to \S+, [0-9.]+ [kM]?B/s (read|written)", said)
    assert page.get_by_role("status").inner_text().startswith("live")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    focused = page.locator(":focus")
    assert focused.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"


@wide
def test_a_lost_connection_is_shown_and_comes_back(page: "Page", exporter: tuple[str, int]) -> None:
    os.kill(exporter[1], signal.SIGSTOP)
    try:
        page.get_by_text("the numbers are old").wait_for()
    finally:
        os.kill(exporter[1], signal.SIGCONT)
    page.get_by_role("status").filter(has_text="live").wait_for()


def test_without_javascript_the_rest_is_there(
    browser: "Browser", exporter: tuple[str, int]
) -> None:
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(exporter[0])
    assert opened.locator("noscript .notice").is_visible()
    assert not opened.locator("#live").is_visible()
    opened.locator("noscript a", has_text="What fdscope sees").click()
    assert opened.locator("#hooks tbody tr").count() > 5
    context.close()


@pytest.mark.parametrize("width", [1400, 1024, 360])
def test_what_is_not_seen_and_what_was_lost(
    browser: "Browser", exporter: tuple[str, int], width: int
) -> None:
    opened = browser.new_page(viewport={"width": width, "height": 800})
    opened.goto(exporter[0])
    opened.get_by_role("link", name="What is not seen").click()
    opened.get_by_role("heading", name="What was lost").wait_for()
    mode = Mode(re.findall(r"attach mode (\w+)", opened.locator("main").inner_text())[0])
    spots = [spot.what for spot in blind_spots.of(mode)]
    assert opened.locator("main li b").all_inner_texts() == spots
    assert opened.locator("#hooks tbody tr").count() > 5
    assert opened.locator("#selftest tbody tr").count() > 20
    opened.get_by_text(f"fdscope can run here, in {mode.value} mode").wait_for()
    assert opened.locator("#checks tbody tr b", has_text=re.compile("^problem$")).count() == 0
    assert opened.locator("html").evaluate("e => e.scrollWidth <= e.clientWidth")
    opened.get_by_role("link", name="Live page").click()
    opened.get_by_role("heading", name="The path of the bytes").wait_for()
    opened.close()


def test_no_traffic_is_told_as_such(browser: "Browser") -> None:
    collector = FakeCollector(families=process_families({}))
    with running(collector) as web:
        opened = browser.new_page()
        opened.goto(f"http://127.0.0.1:{web.port}/")
        opened.get_by_text("No traffic: no process has read or written").wait_for()
        opened.get_by_label("all since start").check()
        opened.get_by_text("No byte has gone through").wait_for()
        opened.close()
