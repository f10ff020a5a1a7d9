# SPDX-License-Identifier: GPL-2.0-only
"""Messages to a service manager, over a real socket."""

import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdscope.exporter.http.systemd import Notifier
from tests.exporter.process import exporter


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(20)
        yield listener


def test_the_life_of_a_service(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.getsockname())
    monkeypatch.setenv("WATCHDOG_USEC", "600000")
    with exporter("") as process:
        assert manager.recv(1000) == b"READY=1\nSTATUS=serving"
        assert [manager.recv(1000) for _ in range(2)] == [b"WATCHDOG=1"] * 2
        process.send_signal(signal.SIGHUP)
        while (heard := manager.recv(1000)) == b"WATCHDOG=1":
            pass
        assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=[0-9]+", heard)
        assert manager.recv(1000) == b"READY=1\nSTATUS=serving"
        process.send_signal(signal.SIGTERM)
        while (heard := manager.recv(1000)) == b"WATCHDOG=1":
            pass
        assert heard == b"STOPPING=1\nSTATUS=detaching"
        process.communicate(timeout=120)


def test_a_reload_of_a_broken_file_ends_in_ready(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.getsockname())
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    file = tmp_path / "web.yml"
    users = "basic_auth_users: {alice: $2b$04$" + "a" * 53 + "}\n"
    file.write_text(users)
    with exporter("", f"--web.config.file={file}") as process:
        assert manager.recv(1000) == b"READY=1\nSTATUS=serving"
        for content, status in (
            ("[" * 20_000, b"every request is refused: the web configuration is wrong"),
            (users, b"serving"),
            (None, b"every request is refused: the web configuration is wrong"),
        ):
            if content is None:
                file.unlink()
                os.mkfifo(file)
            else:
                file.write_text(content)
            process.send_signal(signal.SIGHUP)
            assert manager.recv(1000).startswith(b"RELOADING=1\n")
            assert manager.recv(1000) == b"READY=1\nSTATUS=" + status
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "it is a FIFO, not a regular file" in errors
    assert "Traceback" not in errors


def test_an_abstract_address() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0fdscope-test-{os.getpid()}")
        Notifier({"NOTIFY_SOCKET": f"@fdscope-test-{os.getpid()}"}).alive()
        assert listener.recv(1000) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "x"}, None),
        ({"WATCHDOG_USEC": "9" * 5000}, None),
        ({"WATCHDOG_USEC": "\u0661"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "1500000"}, 1.5),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": "1"}, None),
    ],
)
def test_watchdog(environment: dict[str, str], seconds: float | None) -> None:
    assert Notifier(environment).watchdog_seconds == seconds


def test_nobody_to_tell_is_no_error(tmp_path: Path) -> None:
    Notifier({}).ready("x")
    for address in (str(tmp_path / "none"), "a\0b", "/" + "x" * 5000, "relative"):
        Notifier({"NOTIFY_SOCKET": address}).ready("x")
