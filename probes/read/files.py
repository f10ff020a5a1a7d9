# SPDX-License-Identifier: GPL-2.0-only
"""Open descriptors with what they refer to, by BPF programs that are run on demand.

They need no right to another process's /proc/PID/fd, see every mount and network namespace, and
read names of any length.
"""

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fdscope.probes.kernel import libbpf
from fdscope.probes.read.fd_tables import FdTables, Missing, owner_of
from fdscope.probes.read.maps import Array, read_value
from fdscope.probes.schema.files import INTERNET_FAMILIES, Ends, Name, OpenFd, OpenFds, Place
from fdscope.probes.schema.records import dtype
from fdscope.probes.schema.taxonomy import FdType, NameState

LIST_PROGRAM, PATH_PROGRAM = "on_files", "on_path"
_FOUND = 1
_LIST, _TEXT = dtype("file_list"), dtype("path_text")
_RUNS = 64
"""Most runs for one path: each reads up to 64 components."""


def ends_of(record: Any) -> Ends | None:
    """The record ``addresses`` as plain values; None if it is of no socket."""
    family = int(record["family"])
    if not family:
        return None
    if family == socket.AF_UNIX:
        raw = bytes(record["name"]).ljust(int(record["name_length"]), b"\0")
        name = raw[: int(record["name_length"])]
        # A path ends at its NUL; an abstract name begins with one.
        name = name if name[:1] == b"\0" else name.partition(b"\0")[0]
        is_peers = bool(record["name_is_peers"])
        return Ends(
            family,
            0,
            int(record["state"]),
            b"" if is_peers else name,
            name if is_peers else b"",
            peer=int(record["peer"]),
        )
    protocol, state = int(record["protocol"]), int(record["state"])
    if family not in INTERNET_FAMILIES:
        return Ends(family, protocol, state)
    size = 4 if family == socket.AF_INET else 16
    return Ends(
        family,
        protocol,
        state,
        record["local"].tobytes()[:size],
        record["remote"].tobytes()[:size],
        int(record["local_port"]),
        int(record["remote_port"].byteswap())
        if sys.byteorder == "little"
        else int(record["remote_port"]),
        int(record["interface"]),
    )


def place_of(record: Any) -> Place:
    """The record ``place`` as plain values."""
    return Place(
        int(record["inode"]),
        int(record["device"]),
        int(record["device_number"]),
        bytes(record["filesystem"]).partition(b"\0")[0],
    )


def name_of(components: list[bytes], is_whole: bool) -> Name:
    """A path from its components, innermost first."""
    return Name(tuple(reversed(components)), is_whole)


class FileLister(FdTables[OpenFds]):
    """Lists one process at a time; calls may come from any thread."""

    def __init__(
        self,
        programs: tuple[int, int],
        lists: int,
        texts: int,
        proc: Path = Path("/proc"),
    ) -> None:
        """``programs``: of the list and of the path; ``lists`` and ``texts``: of their maps."""
        super().__init__(proc)
        self._list, self._path = programs
        self._lists = lists
        self._texts = texts

    def among(self, pid: int, inodes: Array, ports: Array) -> OpenFds | Missing:
        """Those descriptors of a process with one of these inodes, or one of these local ports.

        Finds the other ends of a few files in the time that the kernel side needs to list all.
        """

        def wanted(entries: Any) -> Any:
            has_inode = np.isin(entries["place"]["inode"], inodes)
            return entries[has_inode | np.isin(entries["addresses"]["local_port"], ports)]

        return self._visit(pid, lambda directory: self._list_of(directory, wanted))

    def _walk(self, directory: int) -> OpenFds | Missing:
        return self._list_of(directory, lambda entries: entries)

    def _list_of(self, directory: int, choose: Callable[[Any], Any]) -> OpenFds | Missing:
        fds: list[OpenFd] = []
        position = 0
        while True:
            if libbpf.run(self._list, (directory, position)) != _FOUND:
                return Missing.GONE
            found = read_value(self._lists, _LIST)
            fds += map(_open_fd, choose(found["entry"][: int(found["count"])]))
            position = int(found["position"])
            if position >= found["end"]:
                break
        return OpenFds(*owner_of(found), tuple(fds))

    def name(self, pid: int, fd: OpenFd) -> Name | None:
        """The path of what a listed descriptor refers to; None if it refers to that no more."""
        try:
            directory = self._open(pid)
        except OSError:
            return None
        try:
            with self._lock:
                return self._name(directory, fd)
        except OSError:
            return None
        finally:
            os.close(directory)

    def _name(self, directory: int, fd: OpenFd) -> Name | None:
        components: list[bytes] = []
        dentry = mount = 0
        for _ in range(_RUNS):
            if libbpf.run(self._path, (directory, fd.fd, fd.file, dentry, mount)) != _FOUND:
                return None
            found = read_value(self._texts, _TEXT)
            text = found["text"].tobytes()[: int(found["length"])]
            components += text.split(b"\0")[:-1]
            if found["walk"]["state"] == NameState.WHOLE:
                return name_of(components, True)
            dentry, mount = int(found["walk"]["dentry"]), int(found["walk"]["mount"])
        return name_of(components, False)


def _open_fd(record: np.void) -> OpenFd:
    known = bool(record["queues_known"])
    return OpenFd(
        int(record["fd"]),
        int(record["file"]),
        FdType(int(record["fd_type"])),
        place_of(record["place"]),
        int(record["flags"]),
        int(record["position"]),
        bool(record["deleted"]),
        int(record["receive_queue"]) if known else None,
        int(record["send_queue"]) if known else None,
        ends_of(record["addresses"]),
    )
