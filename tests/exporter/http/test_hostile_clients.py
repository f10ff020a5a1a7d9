# SPDX-License-Identifier: GPL-2.0-only
"""Clients of every bad kind at once, over real sockets: scrapes and health go on."""

import asyncio
import contextlib
import http.client
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest

from fdscope.exporter import priority
from fdscope.exporter.http import connections
from fdscope.exporter.http.connections import Connections, LimitedServer, Standing
from fdscope.exporter.http.handlers import Access, application
from fdscope.exporter.http.peers import Peers
from fdscope.exporter.web_config.gate import Gate
from fdscope.exporter.web_config.protection import Protection
from tests.exporter.process import exporter, read_until
from tests.exporter.serving import FakeCollector, Running, options, running, wait_for
from tests.exporter.web_config.certificates import authority

# They load both processors, and judge by how long answers take.
pytestmark = pytest.mark.hostile


@pytest.fixture(autouse=True)
def _priority_of_the_exporter() -> Iterator[None]:
    """That of ``--scheduling.nice``, where we may: the server's threads inherit it."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    priority.raise_to(options().nice)
    yield
    os.setpriority(os.PRIO_PROCESS, 0, before)


LARGE = "x" * 3_000_000
HOST = b"HTTP/1.1\r\nHost: x\r\n"
SCRAPE_SECONDS = 1.0


def allowed() -> float:
    """A scrape's time here: who shares the processors with others waits for them."""
    processors = len(os.sched_getaffinity(0))
    return SCRAPE_SECONDS * max(1.0, max(os.getloadavg()[:2]) / processors)


def get(path: str) -> bytes:
    return b"GET %b %b\r\n" % (path.encode(), HOST)


KINDS: dict[str, bytes] = {
    "connect and send nothing": b"",
    "half a header": get("/metrics")[:-2],
    "read no file": get("/static/page.css"),
    "read no metrics": get("/metrics"),
    "read no events": get("/events"),
    "read no page, many times over one connection": get("/") * 500,
    "ask for metrics many times over one connection": get("/metrics") * 50,
    "say nothing that is HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200,
    "ask for nothing that there is": get("/nothing") * 20,
}


def open_many(port: int, start: bytes, number: int) -> list[socket.socket]:
    """Clients with small buffers that send this and never read."""
    clients = []
    for _ in range(number):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.settimeout(5)
        clients.append(client)
        with contextlib.suppress(OSError):  # it may be shown out at once
            client.connect(("127.0.0.1", port))
            client.send(start)
    return clients


def scrapes(web: Running, seconds: float) -> list[float]:
    """How long each scrape took, one every 0.3 s; health is asked in between."""
    took = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.monotonic()
        status, _, body = web.request("/metrics", Accept_Encoding="gzip")
        took.append(time.monotonic() - begun)
        assert status == 200
        assert body
        begun = time.monotonic()
        assert web.request("/-/healthy")[0] == 200
        took.append(time.monotonic() - begun)
        time.sleep(0.3)
    return took


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_three_hundred_clients_of_one_kind(kind: str) -> None:
    with running(FakeCollector(text=LARGE)) as web, contextlib.ExitStack() as stack:
        for client in open_many(web.port, KINDS[kind], 300):
            stack.enter_context(client)
        took = scrapes(web, 2.5)
        assert max(took) < allowed()
        assert len(web.server.connections) <= connections.MAX_CONNECTIONS


def test_three_hundred_clients_of_all_kinds() -> None:
    with running(FakeCollector(text=LARGE)) as web, contextlib.ExitStack() as stack:
        for start in KINDS.values():
            for client in open_many(web.port, start, 300 // len(KINDS) + 1):
                stack.enter_context(client)
        assert max(scrapes(web, 3)) < allowed()


CROWD = """
import os, socket, sys, time
os.setpriority(os.PRIO_PROCESS, 0, 0)
port, start, number = int(sys.argv[1]), bytes.fromhex(sys.argv[2]), int(sys.argv[3])
os.setresgid(65534, 65534, 65534) if os.geteuid() == 0 else None
os.setresuid(65534, 65534, 65534) if os.geteuid() == 0 else None
held = []
print("begun", flush=True)
while True:
    client = socket.socket()
    client.setblocking(False)
    try:
        client.connect(("127.0.0.1", port))
    except OSError:
        pass
    held.append(client)
    if len(held) > number:
        held.pop(0).close()
    elif start:
        time.sleep(0.001)
    if start:
        try:
            client.send(start)
        except OSError:
            pass
"""


@contextlib.contextmanager
def crowd(port: int, start: bytes, number: int) -> Iterator[None]:
    """Another user, where we are root, who connects as fast as that goes."""
    command = [sys.executable, "-I", "-c", CROWD, str(port), start.hex(), str(number)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "begun\n"
            yield
        finally:
            process.kill()


@pytest.mark.parametrize("start", [b"", get("/metrics"), get("/static/page.css")])
def test_a_flood_of_connections(start: bytes) -> None:
    with running(FakeCollector()) as web, crowd(web.port, start, 400):
        wait_for(lambda: len(web.server.connections) > 20)
        took = sorted(scrapes(web, 4))
        assert took[-1] < allowed()


def test_handshakes_that_never_end(tmp_path: Path) -> None:
    issuer = authority(tmp_path)
    issuer.issue("server")
    file = tmp_path / "web.yml"
    file.write_text("tls_server_config: {cert_file: server.pem, key_file: server.key}")
    hello = bytes.fromhex("160301020001000001fc0303") + b"\0" * 30
    with running(FakeCollector(text=LARGE), file) as web, contextlib.ExitStack() as stack:
        for start in (b"", hello, b"GET / HTTP/1.1\r\n\r\n"):
            for client in open_many(web.port, start, 100):
                stack.enter_context(client)
        for _ in range(3):
            begun = time.monotonic()
            scraper = http.client.HTTPSConnection(
                "localhost", web.port, timeout=10, context=issuer.client()
            )
            with contextlib.closing(scraper):
                scraper.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
                assert scraper.getresponse().status == 200
            assert time.monotonic() - begun < allowed()


def test_handshakes_that_never_end_are_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority(tmp_path).issue("server")
    file = tmp_path / "web.yml"
    file.write_text("tls_server_config: {cert_file: server.pem, key_file: server.key}")
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.3)
    with running(FakeCollector(), file) as web:
        clients = open_many(web.port, bytes.fromhex("1603010200010001fc0303"), 5)
        clients += open_many(web.port, b"", 5)
        wait_for(lambda: len(web.server.connections) == 0)
        for client in clients:
            client.close()


def test_wrong_passwords_do_not_lock_another_user_out(tmp_path: Path) -> None:
    """On the loopback the users of this machine have separate limits."""
    if os.geteuid():
        pytest.skip("needs root to be two users")
    file = tmp_path / "web.yml"
    good = bcrypt.hashpw(b"wonder land", bcrypt.gensalt(8)).decode()
    file.write_text(f"basic_auth_users: {{alice: '{good}'}}")
    wrong = get("/metrics")[:-2] + b"Authorization: Basic YWxpY2U6eA==\r\n\r\n"
    with running(FakeCollector(), file) as web, crowd(web.port, wrong, 60):
        wait_for(lambda: len(web.server.connections) > 20)
        begun = time.monotonic()
        authorization = "Basic YWxpY2U6d29uZGVyIGxhbmQ="
        assert web.request("/metrics", Authorization=authorization)[0] == 200
        assert time.monotonic() - begun < 2 * allowed()


def test_slow_readers_of_metrics_hold_few_bodies() -> None:
    with running(FakeCollector(text=LARGE)) as web, contextlib.ExitStack() as stack:
        for client in open_many(web.port, get("/metrics"), 60):
            stack.enter_context(client)
        wait_for(lambda: web.collector.runs >= 2)
        table = web.server.connections
        wait_for(lambda: 0 < table.answering <= connections.MAX_SLOW_SCRAPES)


def test_headers_over_the_limit_are_told(web: Running) -> None:
    for start, expected in (
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: ", b"HTTP/1.1 431 Request Header Fields Too Large\r\n"),
        (b"GET /", b"HTTP/1.1 414 URI Too Long\r\n"),
    ):
        with web.connect() as client:
            client.sendall(start + b"a" * 3 * connections.MAX_HEADER_BYTES)
            answer = b"".join(iter(lambda client=client: client.recv(65536), b""))  # type: ignore[misc]
        assert answer.startswith(expected)
        assert b"Connection: close" in answer


def test_an_end_does_not_wait_for_clients_that_were_refused() -> None:
    with running(FakeCollector()) as web, web.connect() as client:
        client.sendall(b"GET /" + b"a" * 3 * connections.MAX_HEADER_BYTES)
        assert client.recv(65536).startswith(b"HTTP/1.1 414 ")
        wait_for(lambda: connections._Refusing.lingering == 1)
        web.stop()
        assert connections._Refusing.lingering == 0


def test_a_header_byte_by_byte_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.5)
    with running(FakeCollector()) as web, web.connect() as client:
        begun = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - begun < 10:
                client.sendall(b"G")
                time.sleep(0.02)
        assert time.monotonic() - begun < 5


def test_a_reader_who_takes_a_little_now_and_then_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fdscope.exporter.http.handlers.RESPONSE_SECONDS", 0.5)
    with running(FakeCollector(text=LARGE * 5)) as web:
        (client,) = open_many(web.port, get("/metrics"), 1)
        with client:
            wait_for(lambda: web.server.connections.are_busy)
            while web.server.connections.are_busy:
                with contextlib.suppress(TimeoutError, ConnectionError):
                    client.recv(30_000)
                time.sleep(0.01)
            got = 0
            with contextlib.suppress(ConnectionError):
                while piece := client.recv(65536):
                    got += len(piece)
        assert got < len(LARGE) * 5


def test_few_descriptors_are_enough_and_running_out_of_them_costs_little() -> None:
    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (96, 96))

    with exporter("", before=few) as process:
        assert process.stderr
        address = re.search(r"127\.0\.0\.1:([0-9]+)", read_until(process.stderr, "metrics: ")[-1])
        assert address
        port = int(address[1])
        with contextlib.ExitStack() as stack:
            for start in (b"", get("/static/page.css"), get("/events")):
                for client in open_many(port, start, 100):
                    stack.enter_context(client)
            before = cpu_seconds(process.pid)
            for _ in range(4):
                begun = time.monotonic()
                scraper = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                with contextlib.closing(scraper):
                    scraper.request("GET", "/metrics")
                    assert scraper.getresponse().status == 200
                assert time.monotonic() - begun < allowed()
                time.sleep(0.5)
            assert cpu_seconds(process.pid) - before < 1.5
        process.send_signal(signal.SIGTERM)
        assert "Traceback" not in process.communicate(timeout=120)[1]


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_running_out_of_descriptors_on_accept_does_not_spin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The listener is left alone for a moment, and one connection makes room."""
    calls: list[float] = []

    async def play() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        table, gate = Connections(), Gate(Protection(None))
        server = LimitedServer(application(Access(gate, table), ()), table, gate)
        monkeypatch.setattr(server, "_resume", lambda _: calls.append(time.monotonic()))
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        server.add_sockets([listener])
        client = socket.create_connection(listener.getsockname())
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            async with asyncio.timeout(20):
                while not server.paused:
                    await asyncio.sleep(0.01)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        assert server.paused == [listener]
        async with asyncio.timeout(20):
            while not calls:
                await asyncio.sleep(0.01)
        assert len(calls) == 1
        client.close()
        listener.close()

    asyncio.run(play())


# --- The table ---------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 4)
    monkeypatch.setattr(connections, "MAX_PER_PEER", 2)


@pytest.mark.usefixtures("small")
def test_the_one_that_loses_least_goes_first() -> None:
    now = [10.0]
    table = Connections(lambda: now[0])
    closed: list[str] = []

    def admit(name: str) -> connections.Connection:
        found = table.admit(name, lambda: closed.append(name))
        assert found
        return found

    scrape, other, stalled, idle = (admit(name) for name in ("scrape", "other", "stalled", "idle"))
    scrape.request, other.request, stalled.request = Standing.SCRAPE, Standing.OTHER, Standing.OTHER
    stalled.blocked_since, idle.has_asked = 5.0, True
    for expected in ("stalled", "idle", "other"):
        newest = admit(f"instead of {expected}")
        newest.request = Standing.SCRAPE
        assert closed[-1] == expected
    assert table.admit("one more", lambda: None) is None
    assert "scrape" not in closed


@pytest.mark.usefixtures("small")
def test_every_peer_has_a_sure_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where all places are those of scrapes."""
    monkeypatch.setattr(connections, "SURE_PER_PEER", 1)
    table = Connections(lambda: 0.0)
    closed: list[str] = []
    for name in ("a1", "a2", "b1", "b2"):
        found = table.admit(name[0], lambda name=name: closed.append(name))  # type: ignore[misc]
        assert found
        found.request = Standing.SCRAPE
    newcomer = table.admit("c", lambda: closed.append("c"))
    assert newcomer
    newcomer.request = Standing.SCRAPE
    assert closed == ["a1"]
    assert table.admit("c", lambda: None) is None
    assert table.admit("d", lambda: None)
    assert closed == ["a1", "b1"]


@pytest.mark.usefixtures("small")
def test_a_peer_past_its_share_loses_its_own() -> None:
    table = Connections(lambda: 0.0)
    closed: list[str] = []
    for name in ("a1", "a2", "a3"):
        assert table.admit("a", lambda name=name: closed.append(name))  # type: ignore[misc]
    assert closed == ["a1"]
    assert table.admit("b", lambda: closed.append("b"))
    assert closed == ["a1"]
    assert len(table) == 3


def test_who_a_peer_is(tmp_path: Path) -> None:
    peers = Peers()
    with contextlib.closing(peers), contextlib.ExitStack() as stack:
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            listener = stack.enter_context(socket.create_server((host, 0), family=family))
            client = stack.enter_context(socket.create_connection(listener.getsockname()[:2]))
            accepted, address = listener.accept()
            stack.enter_context(accepted)
            assert peers.name(accepted, address) == f"uid {os.geteuid()}"
            client.close()
            assert peers.name(accepted, address) == host
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(tmp_path / "x"))
        listener.listen()
        client = stack.enter_context(socket.socket(socket.AF_UNIX))
        client.connect(str(tmp_path / "x"))
        accepted, address = listener.accept()
        stack.enter_context(accepted)
        assert peers.name(accepted, address) == f"uid {os.geteuid()}"


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (("192.0.2.7", 5), "192.0.2.7"),
        (("::ffff:192.0.2.7", 5, 0, 0), "192.0.2.7"),
        (("2001:db8:1:2:3:4:5:6", 5, 0, 0), "2001:db8:1:2::/64"),
        (("odd", 5), "odd"),
    ],
)
def test_peers_elsewhere(address: tuple[object, ...], name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert Peers().name(listener, address) == name
