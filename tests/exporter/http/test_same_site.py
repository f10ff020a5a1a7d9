# SPDX-License-Identifier: GPL-2.0-only
"""Requests that change something, from the page itself and from other sites."""

import socket
from pathlib import Path

import bcrypt
import pytest

from fdscope.exporter.http.same_site import is_own_host
from tests.exporter.serving import FakeCollector, Running, running


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:20253", "127.0.0.1", "192.0.2.7:80", "[::1]:20253", "[2001:db8::1]", "::1",
        "localhost", "LOCALHOST:20253", "localhost.", socket.gethostname(),
        f"{socket.gethostname()}:20253",
    ],
)  # fmt: skip
def test_addresses_and_own_names(host: str) -> None:
    assert is_own_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "rebound.example", "rebound.example:20253", "127.0.0.1.rebound.example",
        "localhost.example", "", ":20253", "[",
        "[]", "a b", "127.0.0.1@rebound.example", "0x7f.1", "\xff",
    ],
)  # fmt: skip
def test_names_of_others(host: str) -> None:
    assert not is_own_host(host)


OURS = {"X_Fdscope": "doors"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (OURS, 200),
        (OURS | {"Sec_Fetch_Site": "same-origin"}, 200),
        (OURS | {"Sec_Fetch_Site": "none"}, 200),
        ({}, 403),
        ({"Sec_Fetch_Site": "same-origin"}, 403),
        (OURS | {"Sec_Fetch_Site": "cross-site"}, 403),
        (OURS | {"Sec_Fetch_Site": "same-site"}, 403),
        (OURS | {"Host": "rebound.example"}, 403),
    ],
)
def test_a_post_is_the_page_s_own_or_refused(
    web: Running, headers: dict[str, str], status: int
) -> None:
    assert web.request("/doors", "POST", None, **headers)[0] == status


def test_other_methods_and_a_body_are_refused(web: Running) -> None:
    status, headers, _ = web.request("/doors", "GET", None, **OURS)
    assert (status, headers["Allow"]) == (405, "POST")
    assert web.request("/doors", "OPTIONS", None, **OURS)[0] == 405
    assert web.request("/doors", "POST", b"x" * 10, **OURS)[0] == 400
    assert web.request("/", "POST", None, **OURS)[0] == 405


def test_with_a_password_any_name_will_do(tmp_path: Path) -> None:
    digest = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    file = tmp_path / "web.yml"
    file.write_text(f"basic_auth_users: {{alice: '{digest}'}}\n")
    by_name = OURS | {"Host": "vm.example"}
    with running(FakeCollector(), file) as web:
        assert web.request("/doors", "POST", None, **by_name)[0] == 401
        known = by_name | {"Authorization": "Basic YWxpY2U6c2VjcmV0"}
        assert web.request("/doors", "POST", None, **known)[0] == 200
        assert web.request("/doors", "POST", Authorization=known["Authorization"])[0] == 403
