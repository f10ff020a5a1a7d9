# SPDX-License-Identifier: GPL-2.0-only
"""Access over real connections: passwords, limits."""

import base64
import threading
import time
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from fdscope.exporter.web_config import passwords
from tests.exporter.serving import FakeCollector, running

PATHS = ("/", "/metrics", "/-/healthy", "/-/ready", "/nothing")
ALICE = bcrypt.hashpw(b"wonder land", bcrypt.gensalt(4)).decode()
USERS = f"basic_auth_users: {{alice: '{ALICE}'}}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "web.yml"


def basic(credentials: bytes) -> dict[str, Any]:
    return {"Authorization": f"Basic {base64.b64encode(credentials).decode()}"}


@pytest.mark.parametrize("path", PATHS)
def test_without_a_password_no_page_is_shown(file: Path, path: str) -> None:
    file.write_text(USERS)
    with running(FakeCollector(), file) as web:
        status, headers, body = web.request(path)
        assert (status, body) == (401, b"401 Unauthorized\n")
        assert headers["WWW-Authenticate"] == 'Basic realm="fdscope", charset="UTF-8"'
        assert web.request(path, **basic(b"alice:wonder land"))[0] == (404 if "no" in path else 200)


@pytest.mark.parametrize(
    "header",
    [
        "", "Basic", "Basic ", "Basic !", "Bearer x", "Basic YWxpY2U=", "Basic //8=",
        *(basic(text)["Authorization"] for text in (
            b"alice:", b"alice:wonder", b"bob:wonder land", b":wonder land", b"alice:a\0b",
            b"Alice:wonder land", b"alice:wonder land ", b"alice:" + b"x" * 5000,
        )),
    ],
)  # fmt: skip
def test_wrong_credentials(file: Path, header: str) -> None:
    file.write_text(USERS)
    with running(FakeCollector(), file) as web:
        assert web.request("/metrics", Authorization=header)[0] == 401


def test_a_wrong_password_after_the_right_one_is_wrong(file: Path) -> None:
    file.write_text(USERS)
    with running(FakeCollector(), file) as web:
        answers = [
            web.request(**basic(credentials))[0]
            for credentials in (b"alice:wonder land", b"alice:x", b"alice:wonder land")
        ]
        assert answers == [200, 401, 200]


def test_a_changed_password_counts_at_once(file: Path) -> None:
    file.write_text(USERS)
    with running(FakeCollector(), file) as web:
        assert web.request(**basic(b"alice:wonder land"))[0] == 200
        new = bcrypt.hashpw(b"new", bcrypt.gensalt(4)).decode()
        file.write_text(f"basic_auth_users: {{alice: '{new}'}}\n")
        assert web.request(**basic(b"alice:wonder land"))[0] == 401
        assert web.request(**basic(b"alice:new"))[0] == 200
        file.write_text("basic_auth_users: {alice: '")
        status, _, body = web.request(**basic(b"alice:new"))
        assert (status, body) == (500, b"500 The web configuration cannot be used\n")


def test_floods_of_wrong_passwords_test_few_and_lock_nobody_out(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One hash at a time, few in the queue, and a known user needs none."""
    gate, running_now, most = threading.Event(), [0], [0]

    def slow(password: bytes, expected: bytes) -> bool:
        running_now[0] += 1
        most[0] = max(running_now)
        if password != b"wonder land":
            gate.wait(10)
        running_now[0] -= 1
        return bcrypt.checkpw(password, expected)

    file.write_text(USERS)
    monkeypatch.setattr(passwords, "_matches", slow)
    answers: list[int] = []
    with running(FakeCollector(), file) as web:
        assert web.request(**basic(b"alice:wonder land"))[0] == 200
        threads = [
            threading.Thread(
                target=lambda wrong=wrong: answers.append(web.request(**basic(wrong))[0])
            )
            for wrong in (b"alice:%d" % number for number in range(40))
        ]
        for thread in threads:
            thread.start()
        while len(answers) < 40 - passwords.MAX_CHECKS_PER_PEER:
            time.sleep(0.01)
        assert web.request(**basic(b"alice:wonder land"))[0] == 200
        gate.set()
        for thread in threads:
            thread.join()
    assert most == [1]
    mine = passwords.MAX_CHECKS_PER_PEER
    assert sorted(answers) == [401] * mine + [503] * (40 - mine)


def test_headers_on_every_answer(file: Path) -> None:
    file.write_text(
        f"{USERS}http_server_config:\n  headers:\n    X-Frame-Options: deny\n"
        "    Content-Security-Policy: default-src 'self'\n"
    )
    with running(FakeCollector(), file) as web:
        for path in PATHS:
            for credentials in ({}, basic(b"alice:wonder land")):
                headers = web.request(path, **credentials)[1]
                assert headers["X-Frame-Options"] == "deny"
                assert headers.get_all("Content-Security-Policy") == ["default-src 'self'"]


def test_a_rate_limit(file: Path) -> None:
    file.write_text("rate_limit: {interval: 1000s, burst: 2}")
    with running(FakeCollector(), file) as web:
        assert [web.request("/-/healthy")[0] for _ in range(3)] == [200, 200, 429]
