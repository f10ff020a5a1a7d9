# SPDX-License-Identifier: GPL-2.0-only
"""Tables of open descriptors, one process at a time, by BPF programs that are run on demand.

A program gets a descriptor of /proc/PID: so a process that hidepid= hides is not readable.
"""

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, Generic, TypeVar

from fdscope.probes.schema.snapshot import Process, ProcessKey

Found = TypeVar("Found")


class Missing(Enum):
    """Why a process has no result."""

    GONE = "gone"
    UNREADABLE = "unreadable"


def owner_of(record: Any) -> tuple[ProcessKey, Process]:
    """The process that a record with the fields ``owner`` and ``process`` is about."""
    owner, process = record["owner"], record["process"]
    name = bytes(process["comm"]).partition(b"\0")[0]
    key = ProcessKey(int(owner["tgid"]), int(owner["start"]))
    return key, Process(name, int(process["cgroup_id"]), False)


class FdTables(ABC, Generic[Found]):
    """Reads the table of one process at a time; calls may come from any thread."""

    def __init__(self, proc: Path) -> None:
        self._proc = proc
        self._lock = threading.Lock()
        """The programs of one table write to one map."""

    def processes(self) -> list[int]:
        """The ids of all processes."""
        return [int(entry.name) for entry in self._proc.iterdir() if entry.name.isdecimal()]

    def fds_of(self, pid: int) -> Found | Missing:
        """The descriptors of a process."""
        return self._visit(pid, self._walk)

    def _visit(self, pid: int, walk: Callable[[int], Found | Missing]) -> Found | Missing:
        try:
            directory = self._open(pid)
        except (FileNotFoundError, ProcessLookupError):
            return Missing.GONE
        except OSError:
            return Missing.UNREADABLE
        try:
            with self._lock:
                return walk(directory)
        except OSError:
            return Missing.UNREADABLE
        finally:
            os.close(directory)

    @abstractmethod
    def _walk(self, directory: int) -> Found | Missing:
        """The whole table of the process behind a descriptor of its directory."""

    def _open(self, pid: int) -> int:
        return os.open(self._proc / str(pid), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
