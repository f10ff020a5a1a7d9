# SPDX-License-Identifier: GPL-2.0-only
"""Access over TLS: certificates of both sides, and clients that leave."""

import asyncio
import contextlib
import http.client
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from tornado.httputil import HTTPConnection, HTTPServerRequest, RequestStartLine
from tornado.iostream import SSLIOStream

from fdscope.exporter.web_config.gate import Gate
from fdscope.exporter.web_config.protection import Protection
from tests.exporter.serving import FakeCollector, Running, running
from tests.exporter.web_config.certificates import Authority, Issued, authority
from tests.exporter.web_config.test_gate import PATHS, USERS, basic

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


def test_a_client_that_has_left_is_not_served(file: Path) -> None:
    """The protection of its connection is no longer known."""
    file.write_text(TLS)
    protection = Protection(file)

    async def admit_one_that_left() -> None:
        here, there = socket.socketpair()
        context = protection.current().tls
        assert context
        with here, there:
            made = context.wrap_socket(here, server_side=True, do_handshake_on_connect=False)
            stream = SSLIOStream(made, ssl_options=context)
            stream.close()
            request = HTTPServerRequest(
                start_line=RequestStartLine("GET", "/", "HTTP/1.0"), connection=HTTPConnection()
            )
            await Gate(protection).admit(request, stream)

    with pytest.raises(ConnectionError, match="has left"):
        asyncio.run(admit_one_that_left())
