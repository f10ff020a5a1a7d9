# SPDX-License-Identifier: GPL-2.0-only
"""A lease, and the control socket of an exporter, on the probes of the tests."""

import asyncio
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fdscope.exporter.http import listen
from fdscope.exporter.preconditions import version
from fdscope.exporter.settings.addresses import UnixAddress
from fdscope.exporter.spotlight.control import Control
from fdscope.exporter.spotlight.lens import recorder_of
from fdscope.probes.read.session import Session
from tests.kernel.conftest import ROOMY, attached_with
from tests.kernel.spotlight.watching import Watching, watching


@pytest.fixture(scope="package")
def session() -> Iterator[Session]:
    """Probes that can watch processes."""
    with attached_with(replace(ROOMY, spotlight=True, origins=True)) as attached:
        yield attached


@pytest.fixture
def spotlight(session: Session) -> Iterator[Watching]:
    with watching(session) as lease:
        yield lease


@pytest.fixture
def control(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The path of the socket; users of the group 65534 may use it too."""
    folder = tmp_path_factory.mktemp("control")
    for place in (folder, *folder.parents):
        if place.stat().st_uid == os.geteuid() and place.name.startswith(("pytest", "control")):
            place.chmod(0o755)
    path = folder / "control.sock"
    recorder = recorder_of(session)
    assert recorder
    listeners = listen.bind((UnixAddress(str(path)),), 0o660, 65534)
    server = Control(listeners, recorder, session.mode.value, version(), 65534)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(60)
    try:
        yield path
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        listen.release(listeners)
