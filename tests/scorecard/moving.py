# SPDX-License-Identifier: GPL-2.0-only
"""Scenarios of the doors that take two files, many messages, or complete later."""

from fdscope.probes.schema.taxonomy import Mode
from tests.scorecard.model import Blind, Scenario

SKIPPED_COMPLETIONS = Blind("io_uring operations whose completion is skipped")
MULTISHOT_BEFORE_6_12 = Blind(
    "up to Linux 6.11 all but the last completion", (Mode.FENTRY, Mode.KPROBE), (6, 12)
)
MULTISHOT_IN_TRACEPOINT = Blind("splice and tee by io_uring", (Mode.TRACEPOINT,))
ALL_BEFORE_5_19 = Blind("before Linux 5.19 all of io_uring", (Mode.TRACEPOINT,), (5, 19))
AIO_BY_MEMORY = Blind("aio whose results the program reads from the ring", (Mode.TRACEPOINT,))

_TWO_FILES = tuple(
    Scenario(name, ("splice", kind, 100, "{scratch}"))
    for name, kind in (
        ("sendfile to TCP", "sendfile-tcp"),
        ("sendfile to unix stream", "sendfile-unix"),
        ("sendfile to pipe", "sendfile-pipe"),
        ("sendfile to file", "sendfile-file"),
        ("splice both ways through TCP", "splice-tcp"),
        ("splice both ways through unix stream", "splice-unix"),
        ("tee and splice between pipes", "tee"),
        ("vmsplice both ways", "vmsplice"),
        ("MSG_PEEK, TCP", "peek-tcp"),
        ("MSG_PEEK, unix stream", "peek-unix"),
    )
)

_RING: tuple[tuple[str, str, tuple[Blind, ...]], ...] = (
    ("files", "files", ()),
    ("files by worker threads", "workers", ()),
    ("registered files", "fixed-files", ()),
    ("registered buffers", "fixed-buffers", ()),
    ("submitted by a kernel thread (SQPOLL)", "kernel-thread", ()),
    ("deferred task work", "deferred", ()),
    ("TCP", "tcp", ()),
    ("unix stream by worker threads", "unix-workers", ()),
    ("zero-copy send", "zero-copy", ()),
    ("multishot receive", "multishot", (MULTISHOT_IN_TRACEPOINT, MULTISHOT_BEFORE_6_12)),
    ("multishot read", "multishot-pipe", (MULTISHOT_IN_TRACEPOINT, MULTISHOT_BEFORE_6_12)),
    ("splice and tee", "moving", (MULTISHOT_IN_TRACEPOINT,)),
    ("completions skipped on success", "silent", (SKIPPED_COMPLETIONS,)),
)

_IO_URING = tuple(
    Scenario(f"io_uring, {name}", ("uring", kind, 100, "{ext4}"), blind=(*blind, ALL_BEFORE_5_19))
    for name, kind, blind in _RING
)

_AIO = (
    Scenario("aio, results by io_getevents", ("aio", "call", 40, "{ext4}")),
    Scenario("aio, control blocks overwritten at once", ("aio", "forget", 40, "{ext4}")),
    Scenario("aio, direct I/O", ("aio", "direct", 40, "{ext4}")),
    Scenario(
        "aio, results read from memory", ("aio", "memory", 40, "{ext4}"), blind=(AIO_BY_MEMORY,)
    ),
)

MOVING: tuple[Scenario, ...] = (*_TWO_FILES, *_IO_URING, *_AIO)
