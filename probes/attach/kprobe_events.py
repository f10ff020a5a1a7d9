# SPDX-License-Identifier: GPL-2.0-only
"""The files of tracefs for kprobes: where they are, and events that loaders left there."""

import ctypes
import errno
import os
import struct
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from fdscope.probes.hooks.syscalls import number

_SYS = Path("/sys")
_TRACEFS = ("kernel/tracing", "kernel/debug/tracing")
_PMU = "bus/event_source/devices/kprobe"
"""In every kernel with CONFIG_KPROBE_EVENTS since Linux 4.17, whatever is mounted."""

NOT_IN_KERNEL = "no kprobes in this kernel (CONFIG_KPROBE_EVENTS)"
NOT_MOUNTED = "tracefs is not mounted: no kprobe mode"
MOUNT = "mount -t tracefs tracefs /sys/kernel/tracing"
"""Fixes ``NOT_MOUNTED``."""

NOT_ALLOWED = (
    "the kernel refuses perf events, by which kprobes are attached: while"
    " kernel.perf_event_paranoid is above 2, those of Debian and Ubuntu ask CAP_SYS_ADMIN for them"
)

# include/uapi/linux/perf_event.h: PERF_TYPE_SOFTWARE, PERF_ATTR_SIZE_VER0, PERF_COUNT_SW_DUMMY.
_SOFTWARE, _SIZE, _DUMMY = 1, 64, 9


def _is_there(path: Path) -> bool:
    """Like Path.exists(), which since Python 3.14 returns False on EACCES; PermissionError here."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True


def events_file(sys: Path = _SYS) -> Path | None:
    """The file that lists and takes kprobes; PermissionError if it may not be read."""
    files = (sys / place / "kprobe_events" for place in _TRACEFS)
    return next((file for file in files if _is_there(file)), None)


def why_not(sys: Path = _SYS) -> str:
    """Why there can be none: ``NOT_IN_KERNEL``, ``NOT_MOUNTED``, or empty if there can.

    PermissionError if it may not be read.
    """
    if events_file(sys):
        return ""
    return NOT_MOUNTED if (sys / _PMU).exists() else NOT_IN_KERNEL


def may_attach() -> bool:
    """Whether this process may open perf events of the kernel; found by opening one of nothing."""
    try:
        perf_event_open = number("perf_event_open")
    except KeyError:
        return True  # attaching will show it
    attributes = struct.pack("=IIQ", _SOFTWARE, _SIZE, _DUMMY).ljust(_SIZE, b"\0")
    libc = ctypes.CDLL(None, use_errno=True)
    event = libc.syscall(perf_event_open, attributes, 0, -1, -1, 0)
    if event < 0:
        return ctypes.get_errno() not in (errno.EACCES, errno.EPERM)
    os.close(event)
    return True


def _remove_event(path: Path, event: str) -> None:
    events = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(events, f"-:{event}\n".encode())
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
    finally:
        os.close(events)


def remove_left_events(functions: Collection[str]) -> None:
    """Remove what loaders left for these functions: closing a kprobe leaves its event behind.

    BCC names an event FUNCTION_bcc_PID after the loader. One that is in use, by another fdscope,
    is refused and stays; all stay if we may not write there (any more).
    """
    with suppress(PermissionError):
        path = events_file()
        if path is None:
            return
        ours = {f"{kind}_{name}" for name in functions for kind in ("p", "r")}
        for line in path.read_text().splitlines():
            event = line.split()[0].partition(":")[2]
            name, _, loader = event.rpartition("/")[2].rpartition("_bcc_")
            if name in ours and not Path(f"/proc/{loader}").exists():
                _remove_event(path, event)
