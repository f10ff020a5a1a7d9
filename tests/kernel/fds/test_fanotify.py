# SPDX-License-Identifier: GPL-2.0-only
"""The time that an open waits for the answer of a fanotify permission group."""

import ctypes
import os
import struct
import time
from pathlib import Path

import pytest

from fdscope.exporter.families.fds import fanotify_families
from fdscope.probes.read.session import Session
from fdscope.probes.schema.taxonomy import Mode
from fdscope.probes.selftest.raw_calls import call

LIBC = ctypes.CDLL(None, use_errno=True)
FAN_CLASS_CONTENT, FAN_MARK_ADD, FAN_OPEN_PERM, FAN_ALLOW = 4, 1, 0x10000, 1
WAIT = 0.2


def answered_after_a_while(path: Path) -> None:
    """Open ``path`` in a child while a permission group lets it wait."""
    group = call("fanotify_init", FAN_CLASS_CONTENT, os.O_RDONLY)
    marked = LIBC.fanotify_mark(
        group, FAN_MARK_ADD, ctypes.c_uint64(FAN_OPEN_PERM), -100, str(path).encode()
    )
    assert marked == 0
    child = os.fork()
    if child == 0:
        os.open(path, os.O_RDONLY)
        os._exit(0)
    event = os.read(group, 24)
    fd = struct.unpack_from("<IBBHQii", event)[5]
    time.sleep(WAIT)
    os.write(group, struct.pack("<iI", fd, FAN_ALLOW))
    os.close(fd)
    os.waitpid(child, 0)
    os.close(group)


def test_the_wait_is_measured(session: Session, tmp_path: Path) -> None:
    guarded = tmp_path / "guarded"
    guarded.write_text("x")
    before = session.snapshot().fanotify_waits
    answered_after_a_while(guarded)
    after = session.snapshot().fanotify_waits
    if session.mode is Mode.TRACEPOINT:
        assert after is None, "this mode has nothing to attach to: no figure, and not 0"
        assert list(fanotify_families(after)) == []
        return
    (hook,) = (h for h in session.report.hooks if h.function == "fanotify_handle_event")
    if not hook.is_attached:
        assert after is None
        assert session.mode is Mode.FENTRY, hook.why
        pytest.skip(f"before Linux 6.6 fentry takes functions of 6 arguments: {hook.why}")
    assert before is not None
    assert after is not None
    assert sum(after.buckets) == sum(before.buckets) + 1
    assert after.nanoseconds - before.nanoseconds > WAIT * 0.9e9
