# SPDX-License-Identifier: GPL-2.0-only
"""Who gets in, over real connections: TLS, client certificates, passwords, limits."""

import base64
import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from exporter.web_config import passwords
from tests.exporter.certificates import Authority, Issued, authority
from tests.exporter.serving import FakeCollector, Running, running

PATHS = ("/", "/metrics", "/-/healthy", "/-/ready", "/nothing")
ALICE = bcrypt.hashpw(b"wonder land", bcrypt.gensalt(4)).decode()
USERS = f"basic_auth_users: {{alice: '{ALICE}'}}\n"
TLS = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
MUTUAL = f"{TLS}  client_ca_file: authority.pem\n  client_auth_type: RequireAndVerifyClientCert\n"


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = authority(tmp_path_factory.mktemp("certificates"))
    made.issue("server")
    return made


@pytest.fixture
def file(issuer: Authority) -> Path:
    return issuer.folder / "web.yml"


def basic(credentials: bytes) -> dict[str, Any]:
    return {"Authorization": f"Basic {base64.b64encode(credentials).decode()}"}


def ask(
    port: int, context: ssl.SSLContext, path: str = "/metrics", **headers: str
) -> http.client.HTTPResponse:
    """Ask over TLS; the answer is read."""
    client = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    with contextlib.closing(client):
        client.request("GET", path, headers=headers)
        response = client.getresponse()
        response.read()
        return response


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
    """One hash at a time, few in the queue, and who is known needs none."""
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
        while len(answers) < 40 - passwords.MAX_CHECKS:
            time.sleep(0.01)
        assert web.request(**basic(b"alice:wonder land"))[0] == 200
        gate.set()
        for thread in threads:
            thread.join()
    assert most == [1]
    assert sorted(answers) == [401] * passwords.MAX_CHECKS + [503] * (40 - passwords.MAX_CHECKS)


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


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls(issuer: Authority, file: Path, version: ssl.TLSVersion) -> None:
    file.write_text(TLS)
    context = issuer.client()
    context.minimum_version = context.maximum_version = version
    with running(FakeCollector(text="x" * 500_000), file) as web:
        assert [ask(web.port, context, path).status for path in PATHS] == [200] * 4 + [404]
        with pytest.raises((ConnectionError, http.client.BadStatusLine)):
            web.request()  # in plain text


def test_a_certificate_is_renewed_while_it_serves(issuer: Authority, file: Path) -> None:
    file.write_text(TLS)
    with running(FakeCollector(), file) as web:
        old = ssl.get_server_certificate(("127.0.0.1", web.port))
        issuer.issue("server")
        new = ssl.get_server_certificate(("127.0.0.1", web.port))
        assert old != new == (issuer.folder / "server.pem").read_text()
        (issuer.folder / "server.pem").unlink()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask(web.port, issuer.client())
        issuer.issue("server")
        assert ask(web.port, issuer.client()).status == 200


def test_connections_of_an_earlier_configuration_end(issuer: Authority, file: Path) -> None:
    file.write_text(TLS)
    with running(FakeCollector(), file) as web:
        client = http.client.HTTPSConnection(
            "127.0.0.1", web.port, timeout=10, context=issuer.client()
        )
        with contextlib.closing(client):
            client.request("GET", "/-/healthy")
            assert client.getresponse().read() == b"fdscope is healthy\n"
            file.write_text(MUTUAL)
            client.request("GET", "/-/healthy")
            with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
                client.getresponse()


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    return authority(tmp_path_factory.mktemp("stranger")).issue("stranger")


def test_mutual_tls(issuer: Authority, file: Path, stranger: Issued) -> None:
    file.write_text(MUTUAL)
    client = issuer.issue("client", "DNS:prometheus.example,IP:::1")
    refused = (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)
    with running(FakeCollector(), file) as web:
        assert ask(web.port, issuer.client(client)).status == 200
        for wrong in (None, stranger):
            with pytest.raises(refused):
                ask(web.port, issuer.client(wrong))
        file.write_text(f"{MUTUAL}  client_allowed_sans: ['::1']\n")
        assert ask(web.port, issuer.client(client)).status == 200
        file.write_text(f"{MUTUAL}  client_allowed_sans: [other.example]\n")
        assert ask(web.port, issuer.client(client)).status == 403


def slow_handshake(web: Running) -> socket.socket:
    return web.connect()


def torn_handshake(web: Running) -> socket.socket:
    client = web.connect()
    client.sendall(bytes.fromhex("16030100ff0100"))
    return client


def plain_request(web: Running) -> socket.socket:
    client = web.connect()
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    return client


def noise(web: Running) -> socket.socket:
    client = web.connect()
    client.sendall(b"\xff" * 4000)
    return client


@pytest.mark.parametrize("attack", [slow_handshake, torn_handshake, plain_request, noise])
def test_many_bad_clients_of_tls_keep_no_scrape_out(
    issuer: Authority, file: Path, attack: Callable[[Running], socket.socket]
) -> None:
    file.write_text(TLS + USERS)
    good = basic(b"alice:wonder land")
    with running(FakeCollector(), file) as web, contextlib.ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(attack(web))
        assert ask(web.port, issuer.client(), **good).status == 200
