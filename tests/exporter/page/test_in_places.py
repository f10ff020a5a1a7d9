# SPDX-License-Identifier: GPL-2.0-only
"""The live page and its events as served in practice: behind a proxy, TLS, a password."""

import contextlib
import http.client
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import bcrypt
import pytest

from fdscope.exporter.families.owned import process_families
from tests.browser import browser as browser
from tests.exporter.serving import FakeCollector, Running, running
from tests.exporter.web_config.certificates import authority

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PREFIX = "/hosts/one"
PASSWORD = "wonder land"  # noqa: S105 - of this test only


@contextlib.contextmanager
def proxied(port: int) -> Iterator[str]:
    """A reverse proxy that shows the server under a prefix and nothing else; its address."""

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(f"{PREFIX}/"):
                self.send_error(404)
                return
            behind = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            with contextlib.closing(behind), contextlib.suppress(BrokenPipeError):
                behind.request("GET", self.path.removeprefix(PREFIX), headers=dict(self.headers))
                response = behind.getresponse()
                self.send_response(response.status)
                for name, value in response.getheaders():
                    if name not in ("Transfer-Encoding", "Connection"):
                        self.send_header(name, value)
                self.end_headers()
                while piece := response.read1():
                    self.wfile.write(piece)

        def do_POST(self) -> None:
            behind = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            with contextlib.closing(behind):
                behind.request("POST", self.path.removeprefix(PREFIX), headers=dict(self.headers))
                response = behind.getresponse()
                self.send_response(response.status)
                self.end_headers()
                self.wfile.write(response.read())

        def log_message(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}{PREFIX}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def idle() -> Iterator[Running]:
    """A server without traffic; it signals once it has sent two events."""
    with running(FakeCollector(families=process_families({}))) as started:
        yield started


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Running]:
    """The same with TLS and a password."""
    issued = authority(tmp_path).issue("server")
    digest = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    file = tmp_path / "web.yml"
    file.write_text(
        f"tls_server_config: {{cert_file: {issued.certificate}, key_file: {issued.key}}}\n"
        f"basic_auth_users: {{alice: '{digest}'}}\n"
    )
    with running(FakeCollector(families=process_families({})), file) as started:
        yield started


def it_is_whole(page: "Page", complaints: list[str]) -> None:
    page.get_by_text("No traffic: no process has read or written").wait_for()
    assert page.get_by_role("status").inner_text().startswith("live")
    page.get_by_text("Yes, a socket is a file here").wait_for()
    assert page.locator("#problem").is_hidden()
    assert complaints == []


def listened(page: "Page") -> list[str]:
    """The browser's complaints from now on."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints


def test_under_a_prefix_of_a_proxy(browser: "Browser", idle: Running) -> None:
    with proxied(idle.port) as address:
        page = browser.new_page()
        complaints = listened(page)
        page.goto(address)
        it_is_whole(page, complaints)
        page.get_by_role("link", name="Healthy?").click()
        page.get_by_text("fdscope is healthy").wait_for()
        assert page.url.startswith(address)
        page.close()


def test_behind_tls_and_a_password(browser: "Browser", guarded: Running) -> None:
    context = browser.new_context(
        ignore_https_errors=True, http_credentials={"username": "alice", "password": PASSWORD}
    )
    page = context.new_page()
    complaints = listened(page)
    page.goto(f"https://127.0.0.1:{guarded.port}/")
    it_is_whole(page, complaints)
    context.close()


def test_with_the_password_in_the_address(browser: "Browser", guarded: Running) -> None:
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    complaints = listened(page)
    page.goto(f"https://alice:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{guarded.port}/")
    it_is_whole(page, complaints)
    context.close()


def test_a_wrong_password_shows_nothing(browser: "Browser", guarded: Running) -> None:
    context = browser.new_context(
        ignore_https_errors=True, http_credentials={"username": "alice", "password": "looking"}
    )
    page = context.new_page()
    answer = page.goto(f"https://127.0.0.1:{guarded.port}/")
    assert answer is not None
    assert answer.status == 401
    assert page.locator("main").count() == 0
    context.close()
