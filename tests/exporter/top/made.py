# SPDX-License-Identifier: GPL-2.0-only
"""Documents as an exporter sends them, and a lens that shows them."""

from collections.abc import Callable
from typing import Any

from fdscope.exporter.spotlight.protocol import NoProcessError
from fdscope.exporter.spotlight.report import Document


def moved(read: int = 0, written: int = 0, operations: int = 0, errors: int = 0) -> dict[str, int]:
    return {"read": read, "written": written, "operations": operations, "errors": errors}


def process(pid: int, name: str, fds: dict[str, int] | None, **types: Any) -> Document:
    return {
        "pid": pid,
        "start": pid * 7,
        "process": name,
        "ended": fds is None,
        "fds": fds,
        "moved": types,
    }


def host(now: float, *processes: Document, unattributed: int = 0) -> Document:
    return {
        "fdscope": "1",
        "mode": "tracepoint",
        "now": now,
        "processes": list(processes),
        "unattributed": {"operations": unattributed, "bytes": 0},
    }


def operation(what: str, operations: int, size: int, errno: str | None = None) -> Document:
    return {
        "what": what,
        "door": "read_write",
        "errno": errno,
        "operations": operations,
        "bytes": size,
        "seconds": None,
    }


def file(fd: int, name: str, fd_type: str, *operations: Document, **others: Any) -> Document:
    return {
        "fd_type": fd_type,
        "name": name,
        "open": True,
        "fds": [fd],
        "files": 1,
        "operations": list(operations),
        "opened_by": None,
        "closed_by": None,
        "age_seconds": 5.0,
        "idle_seconds": 0.5,
        "inode": 1000 + fd,
        "filesystem": None,
        "device": None,
        "access": "rw",
        "flags": ["NONBLOCK"],
    } | others


def files(pid: int, watched: float, *held: Document, ended: bool = False) -> Document:
    return {
        "fdscope": "1",
        "mode": "tracepoint",
        "processes": [
            {
                "pid": pid,
                "process": "writer",
                "parent": None,
                "watched_seconds": watched,
                "ended": ended,
                "lost_operations": 0,
                "files": list(held),
            }
        ],
        "lost": {"operations": 0, "bytes": 0},
        "room": {},
    }


class FakeLens:
    """Shows a host that goes on as it does, and the files of a process."""

    def __init__(self, host: Callable[[int], Document], look: Document) -> None:
        """``host``: from the number of the look."""
        self._host = host
        self._looks = 0
        self.shown = look
        self.watched: list[int] = []
        self.done: list[str] = []

    def host(self) -> Document:
        self._looks += 1
        return self._host(self._looks)

    def watch(self, pid: int, follow: bool) -> None:
        assert not follow
        if pid == 404:
            raise NoProcessError("404: there is no process with this pid")
        self.watched.append(pid)
        self.done.append(f"watch {pid}")

    def unwatch(self) -> None:
        self.watched.clear()
        self.done.append("unwatch")

    def look(self, with_peers: bool = False) -> Document:
        assert with_peers
        return self.shown

    def list_all(self) -> Document:
        raise AssertionError("top lists no files of all processes")

    def close(self) -> None:
        self.watched.clear()
