# SPDX-License-Identifier: GPL-2.0-only
"""Runs ``probes.loader`` in a process of its own and takes over what it attached."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from probes.source import Settings
from probes.taxonomy import Mode

_TIMEOUT_SECONDS = 600
"""Real kernel headers on an emulated CPU take minutes."""
_LOG_CHARACTERS = 2000
"""How much of the compiler's messages an error shows."""


class AttachError(Exception):
    """No probe could be attached; the text says why, mode by mode, and what to do."""


def _receive_exactly(peer: socket.socket, count: int) -> bytes:
    parts = b""
    while len(parts) < count:
        part = peer.recv(count - len(parts))
        if not part:
            raise AttachError("the loader ended before it had attached anything")
        parts += part
    return parts


def _receive_fd(peer: socket.socket) -> int:
    _, fds, _, _ = socket.recv_fds(peer, 1, 1)
    if len(fds) != 1:
        raise AttachError("the loader ended before it had handed over its maps")
    return fds[0]


def launch(modes: Sequence[Mode], settings: Settings) -> tuple[dict[str, Any], list[int]]:
    """The loader's report as plain values (see ``probes.loader.Report``), and its descriptors.

    AttachError if no mode works.
    """
    ours, theirs = socket.socketpair()
    request = json.dumps({"modes": [m.value for m in modes], "settings": asdict(settings)})
    command = [sys.executable, "-m", "probes.loader", request, str(theirs.fileno())]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    with ours, theirs, tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdout=log, stderr=log, env=environment
        )
        theirs.close()
        ours.settimeout(_TIMEOUT_SECONDS)
        try:
            length = int.from_bytes(_receive_exactly(ours, 4), "little")
            report = json.loads(_receive_exactly(ours, length))
            fds = [_receive_fd(ours) for _ in range(report["open_files"])]
        except (AttachError, TimeoutError) as error:
            log.seek(0)
            raise AttachError(
                f"{error}\n{log.read().decode(errors='replace')[-_LOG_CHARACTERS:]}"
            ) from error
        finally:
            child.kill()  # it has ended, unless we were interrupted
            child.wait()
        log.seek(0)
        report["log"] = log.read().decode(errors="replace")
    if report["error"]:
        log_end = report["log"][-_LOG_CHARACTERS:] if "compile" in report["error"] else ""
        raise AttachError(f"{report['error']}\n{log_end}".strip())
    return report, fds
