# SPDX-License-Identifier: GPL-2.0-only
"""Watched processes from reading to reading: what the maps have no room for is kept here.

A file that its process holds no more leaves the maps in two steps. First it is retired: what is
done to its address from then on is that of another file. A reading later, when no program can be in
the middle of counting it, its sums are final: they are taken over and removed.
"""

import hashlib
import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from fdscope.exporter.spotlight.holders import Holders
from fdscope.exporter.spotlight.host import Host
from fdscope.exporter.spotlight.names import FileName, file_name
from fdscope.exporter.spotlight.protocol import NoProcessError
from fdscope.exporter.spotlight.rows import FileRow, Peer, Times
from fdscope.probes.read.fd_tables import Missing
from fdscope.probes.schema.files import (
    Depth,
    FileKey,
    Name,
    Opened,
    OpenFd,
    OpenFds,
    Origin,
    OriginKey,
    Origins,
    Place,
    Python,
    Watched,
    WatchedFile,
    WatchedProcess,
)
from fdscope.probes.schema.snapshot import NOTHING, Amount, ProcessKey
from fdscope.probes.schema.taxonomy import Birth, Cause, FdType
from fdscope.probes.text import printable

MOST_ROWS = 100_000
"""Closed files that are kept by name; further ones are summed."""
_MOST_NAMES = 200_000
_GRACE_SECONDS = 1.0
"""After a file was closed: calls on it may still return."""
_TOO_MANY = FileName("(others)")


class Maps(Protocol):
    """The kernel side: ``probes.read.spotlight.Spotlight``."""

    def lease(self) -> int:
        """A new lease."""

    @property
    def knows_origins(self) -> bool:
        """True if it can be asked where descriptors are opened."""

    def watch(
        self,
        lease: int,
        processes: Mapping[ProcessKey, bytes],
        follow: bool,
        born: int,
        origins: Depth | None = None,
        python: Python | None = None,
    ) -> None:
        """Watch processes."""

    def origins(self) -> dict[ProcessKey, Origins]:
        """Where descriptors were opened."""

    def release(self, lease: int) -> None:
        """End what a lease watches."""

    def read(self) -> Watched:
        """All that is known."""

    def retire(self, files: Collection[FileKey]) -> None:
        """Remove files, and not what they did."""

    def forget(self, files: Collection[FileKey]) -> None:
        """Remove what they did."""


class Lister(Protocol):
    """Lists open descriptors: ``probes.read.files.FileLister``."""

    def processes(self) -> list[int]:
        """All process ids."""

    def fds_of(self, pid: int) -> OpenFds | Missing:
        """The descriptors of a process."""

    def among(self, pid: int, inodes: Any, ports: Any) -> OpenFds | Missing:
        """Those with one of these inodes or local ports."""

    def name(self, pid: int, fd: OpenFd) -> Name | None:
        """The path behind one."""


@dataclass(frozen=True, slots=True)
class ProcessView:
    """A watched process and its files at one moment."""

    process: WatchedProcess
    rows: tuple[FileRow, ...]

    @property
    def name(self) -> str:
        """Printable."""
        return printable(self.process.name)


@dataclass(frozen=True, slots=True)
class View:
    """What a lease sees at one moment."""

    processes: tuple[ProcessView, ...]
    lost: Amount
    """What had no room under a file; it is in no row."""
    room: Mapping[str, tuple[int, int]]
    now: float
    """Seconds of the monotonic clock."""
    holders: Holders | None = None
    """Who holds the ends of what joins processes, if that was asked for."""


class OpenNow(NamedTuple):
    """An open descriptor of a process whose origins are asked for."""

    fd: OpenFd
    name: FileName
    idle: float | None
    """Seconds since it was read or written; None for not since it is watched."""
    opened: Opened | None
    """None if it was open before that."""


@dataclass(frozen=True, slots=True)
class OriginsView:
    """Where a process has opened its descriptors, and which are open."""

    process: WatchedProcess
    origins: Mapping[OriginKey, Origin]
    open: tuple[OpenNow, ...]
    now: float
    """Seconds of the monotonic clock."""

    @property
    def name(self) -> str:
        """Printable."""
        return printable(self.process.name)


@dataclass(slots=True)
class _Gone:
    """The closed files of one process, by the key of their rows."""

    rows: dict[tuple[object, ...], FileRow] = field(default_factory=dict)


class Recorder:
    """Keeps what the leases of one session watch; calls may come from any thread."""

    def __init__(
        self,
        maps: Maps,
        lister: Lister,
        host: Host,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.host = host
        """All processes, watched or not."""
        self._maps = maps
        self._lister = lister
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[int, tuple[Place, Name | None]] = {}
        """Address of a struct file to what is known of it, as last seen."""
        self._retired: dict[FileKey, FileRow] = {}
        """Files whose sums are still in the maps."""
        self._gone: dict[ProcessKey, _Gone] = defaultdict(_Gone)
        self._rows = 0
        self._secret = os.urandom(16)

    def lease(self) -> int:
        """A new lease, to be given back with ``release``; NoLeaseError if there is none."""
        return self._maps.lease()

    def watch(
        self,
        lease: int,
        pid: int,
        follow: bool,
        origins: Depth | None = None,
        python: Python | None = None,
    ) -> ProcessKey:
        """Watch a process from now on; NoProcessError if that cannot be."""
        with self._lock:
            found = self._lister.fds_of(pid)
            if not isinstance(found, OpenFds):
                why = (
                    "there is no process with this pid"
                    if found is Missing.GONE
                    else "this process cannot be looked at"
                )
                raise NoProcessError(f"{pid}: {why}")
            if origins is not None and not self._maps.knows_origins:
                raise NoProcessError(f"{pid}: these probes do not know where it opens descriptors")
            self._watch(lease, [found], follow, origins, python)
            return found.key

    def watch_all(self, lease: int, pids: Iterable[int]) -> None:
        """Watch processes, those of a lease's first call from one moment on.

        Those that are gone or cannot be looked at are left out.
        """
        with self._lock:
            tables = map(self._lister.fds_of, pids)
            self._watch(lease, [each for each in tables if isinstance(each, OpenFds)], False)

    def _watch(
        self,
        lease: int,
        tables: Collection[OpenFds],
        follow: bool,
        origins: Depth | None = None,
        python: Python | None = None,
    ) -> None:
        processes = {each.key: each.process.name for each in tables}
        self._maps.watch(lease, processes, follow, self._clock(), origins, python)
        for each in tables:
            self._learn(each, fresh=True)

    def release(self, lease: int) -> None:
        """End what a lease watches, and drop what is kept for it alone."""
        with self._lock:
            self._maps.release(lease)
            watched = self._maps.read()
            for owner in [key for key in self._gone if key not in watched.processes]:
                self._rows -= len(self._gone.pop(owner).rows)
            self._retired = {
                key: row for key, row in self._retired.items() if key.owner in watched.processes
            }
            if not watched.processes:
                self._known.clear()

    def poll(self) -> None:
        """Read the maps, and take over the files that are held no more."""
        with self._lock:
            self._poll(fresh_names=False)

    def view(self, lease: int, with_peers: bool = False, of_host: bool = False) -> View:
        """What a lease sees now. ``with_peers``: who holds the other ends, of the whole host.

        ``of_host``: its ``holders`` know those of all processes.
        """
        with self._lock:
            watched, tables = self._poll(fresh_names=True)
            ours = [each for each in watched.processes.values() if each.leases >> lease & 1]
            mine = [tables[each.key] for each in ours if each.key in tables]
            holders = None
            if of_host:
                holders = Holders(_tables_of_host(self._lister))
            elif with_peers:
                holders = Holders(_other_ends(self._lister, mine))
            views = [
                ProcessView(each, tuple(self._rows_of(each, watched, tables, holders)))
                for each in sorted(ours, key=lambda one: (one.born, one.key))
            ]
            lost = NOTHING
            for each in ours:
                lost = lost.plus(each.lost)
            return View(tuple(views), lost, watched.room, self._clock() / 1e9, holders)

    def joined(self, pids: Collection[int], most: int) -> list[OpenFds]:
        """The tables of these processes, and of up to so many others that are joined with them."""
        with self._lock:
            tables = {each.key.tgid: each for each in _tables_of_host(self._lister)}
        holders = Holders(tables.values())
        mine = [tables[pid] for pid in pids if pid in tables]
        found: dict[int, None] = {}
        for table in mine:
            found |= dict.fromkeys(holders.neighbours(table, most))
        return mine + [tables[pid] for pid in [p for p in found if p not in pids][:most]]

    def origins(self, lease: int) -> list[OriginsView]:
        """Where the processes of a lease have opened descriptors, if that was asked of them."""
        with self._lock:
            then = self._clock() / 1e9
            watched, _ = self._poll(fresh_names=False)
            used = {
                (each.key.owner, each.key.file): each.last_used for each in watched.files.values()
            }
            ours = [each for each in watched.processes.values() if each.leases >> lease & 1]
            # One right after the other. What is open first: the address of a closed file is soon
            # that of another.
            tables = [self._lister.fds_of(each.key.tgid) for each in ours]
            listed = self._clock()
            known = self._maps.origins()
            now = listed / 1e9
            views = []
            for process, table in zip(ours, tables, strict=True):
                of = _until(listed, known.get(process.key, Origins({}, {})))
                is_alive = isinstance(table, OpenFds) and table.key == process.key
                fds = table.fds if is_alive and isinstance(table, OpenFds) else ()
                opened = tuple(self._open_now(fd, process, of, used, then) for fd in fds)
                views.append(OriginsView(process, of.origins, opened, now))
            return views

    def _open_now(
        self,
        fd: OpenFd,
        process: WatchedProcess,
        of: Origins,
        used: Mapping[tuple[ProcessKey, int], int],
        then: float,
    ) -> OpenNow:
        opened = of.opened.get(fd.fd)
        known = self._known_of(fd.file, fd.place)
        last_used = used.get((process.key, fd.file), 0)
        return OpenNow(
            fd,
            file_name(fd.fd_type, fd.place, known[1] if known else None, fd.ends),
            max(then - last_used / 1e9, 0.0) if last_used else None,
            opened if opened and opened.file == fd.file else None,
        )

    def list_all(self) -> View:
        """The open files of all processes of the host, none of them watched."""
        views = []
        with self._lock:
            tables = _tables_of_host(self._lister)
            holders = Holders(tables)
            for found in tables:
                rows = []
                for fds in _by_file(found).values():
                    name = self._lister.name(found.key.tgid, fds[0])
                    rows.append(_open_row(fds, name, holders))
                now = self._clock()
                process = WatchedProcess(
                    found.key, None, found.process.name, now, 0, 0, NOTHING, leases=0
                )
                views.append(ProcessView(process, tuple(rows)))
        return View(tuple(views), NOTHING, {}, self._clock() / 1e9)

    def _poll(self, fresh_names: bool) -> tuple[Watched, dict[ProcessKey, OpenFds]]:
        watched = self._maps.read()
        tables = {}
        for process in watched.processes.values():
            if process.ended:
                continue
            found = self._lister.fds_of(process.key.tgid)
            if isinstance(found, OpenFds) and found.key == process.key:
                tables[process.key] = found
                self._learn(found, fresh_names)
        listed = {fd.file: fd.place.inode for table in tables.values() for fd in table.fds}
        for file in watched.files.values():
            if listed.get(file.key.file, file.place.inode) != file.place.inode:
                continue  # it is closed: its address is that of another file
            known = self._known_of(file.key.file, file.place)
            if file.name and not (known and known[1]):
                self._known[file.key.file] = file.place, file.name
        while len(self._known) > _MOST_NAMES:
            del self._known[next(iter(self._known))]
        self._take_over(watched, tables)
        return watched, tables

    def _learn(self, found: OpenFds, fresh: bool) -> None:
        """The names of open files; ``fresh``: also of those that are known, for they change."""
        asked: set[int] = set()
        for fd in found.fds:
            known = self._known_of(fd.file, fd.place)
            if fd.file in asked or (known and not fresh):
                continue
            asked.add(fd.file)
            name = None if fd.fd_type.is_socket else self._lister.name(found.key.tgid, fd)
            # None for a descriptor that was closed since it was listed.
            self._known[fd.file] = fd.place, name or (known[1] if known else None)

    def _known_of(self, file: int, place: Place) -> tuple[Place, Name | None] | None:
        """What is known of a file; None for another one that had its address."""
        known = self._known.get(file)
        return known if known and file and known[0].inode == place.inode else None

    def _take_over(self, watched: Watched, tables: Mapping[ProcessKey, OpenFds]) -> None:
        newest = _newest(watched)
        final = [key for key in self._retired if key not in watched.files]
        for key in final:
            row = replace(self._retired.pop(key), done=watched.done.get(key, {}))
            self._keep(key.owner, row)
        self._maps.forget(final)
        over = [
            file for file in watched.files.values() if self._is_over(file, watched, tables, newest)
        ]
        for file in over:
            self._retired[file.key] = self._row(file, watched, {}, None)
        self._maps.retire([file.key for file in over])

    def _is_over(
        self,
        file: WatchedFile,
        watched: Watched,
        tables: Mapping[ProcessKey, OpenFds],
        newest: "_Newest",
    ) -> bool:
        process = watched.processes.get(file.key.owner)
        long_ago = self._clock() - int(_GRACE_SECONDS * 1e9)
        if process is None:
            return False
        if process.ended:
            return process.ended < long_ago
        if file.birth is None or file.closes < file.opens or file.closed_at > long_ago:
            return False
        table = tables.get(file.key.owner)
        if table is None:
            return False
        is_newest = newest[file.key.owner, file.key.file] == file.key
        return not is_newest or all(fd.file != file.key.file for fd in table.fds)

    def _keep(self, owner: ProcessKey, row: FileRow) -> None:
        rows = self._gone[owner].rows
        if row.key not in rows and self._rows >= MOST_ROWS:
            row = FileRow(FdType.OTHER, _TOO_MANY, replace(row.place, inode=0), done=row.done)
        known = rows.get(row.key)
        self._rows += known is None
        rows[row.key] = row if known is None else known.plus(row)

    def _rows_of(
        self,
        process: WatchedProcess,
        watched: Watched,
        tables: Mapping[ProcessKey, OpenFds],
        holders: Holders | None,
    ) -> Iterator[FileRow]:
        key = process.key
        table = tables.get(key)
        open_now = _by_file(table) if table else {}
        newest = _newest(watched)
        closed: dict[tuple[object, ...], FileRow] = dict(self._gone[key].rows)
        for retired, row in self._retired.items():
            if retired.owner == key:
                _add(closed, replace(row, done=watched.done.get(retired, {})))
        for file in watched.files.values():
            # One that was retired a moment ago is in what was read before.
            if file.key.owner != key or file.key in self._retired:
                continue
            mine = open_now.get(file.key.file, []) if newest[key, file.key.file] == file.key else []
            row = self._row(file, watched, {file.key.file: mine}, holders)
            if row.is_open:
                yield row
                open_now.pop(file.key.file, None)
            else:
                _add(closed, row)
        for fds in open_now.values():
            yield self._open_row(fds, holders)
        yield from closed.values()

    def _row(
        self,
        file: WatchedFile,
        watched: Watched,
        open_now: Mapping[int, list[OpenFd]],
        holders: Holders | None,
    ) -> FileRow:
        fds = open_now.get(file.key.file, [])
        done = watched.done.get(file.key, {})
        birth = file.birth or self._inherited(file, watched)
        if fds:
            row = self._open_row(fds, holders)
            return replace(
                row,
                done=done,
                birth=birth,
                passed_by=_passed_by(file, watched),
                times=Times(*_seconds(file)),
            )
        process = watched.processes.get(file.key.owner)
        known = self._known_of(file.key.file, file.place)
        place, name = known or (file.place, None)
        name = file.name or name
        place = file.place if file.place.device else place
        return FileRow(
            file.fd_type,
            file_name(file.fd_type, place, name, file.ends),
            place,
            file.ends,
            done,
            fds=() if file.fd is None else (file.fd,),
            birth=birth,
            cause=_cause(file, process),
            passed_by=_passed_by(file, watched),
            flags=file.flags if file.flags else None,
            position=file.position if file.closes else None,
            identity=self._identity(file.key.file, file.place),
            times=Times(*_seconds(file)),
        )

    def _inherited(self, file: WatchedFile, watched: Watched) -> Birth | None:
        """FORK if the parent of the process had the file too."""
        process = watched.processes.get(file.key.owner)
        if process is None or process.parent is None or not file.key.file:
            return None
        same = self._known_of(file.key.file, file.place) is not None
        parents = any(
            key.file == file.key.file and key.owner == process.parent and key.born < process.born
            for key in watched.files
        )
        return Birth.FORK if same or parents else None

    def _open_row(self, fds: list[OpenFd], holders: Holders | None) -> FileRow:
        file, place = fds[0].file, fds[0].place
        known = self._known_of(file, place)
        row = _open_row(fds, known[1] if known else None, holders)
        return replace(row, identity=self._identity(file, place))

    def _identity(self, file: int, place: Place) -> str:
        """Tells files apart without the addresses of the kernel."""
        text = f"{file} {place.inode}".encode()
        return hashlib.blake2b(text, key=self._secret, digest_size=8).hexdigest()


_Newest = Mapping[tuple[ProcessKey, int], FileKey]
"""By process and address of the struct file."""


def _newest(watched: Watched) -> _Newest:
    """The last file at each address: the kernel uses one again once its file is closed."""
    newest: dict[tuple[ProcessKey, int], FileKey] = {}
    for each in watched.files:
        where = each.owner, each.file
        newest[where] = max(newest.get(where, each), each)
    return newest


def _until(listed: int, of: Origins) -> Origins:
    """Without what was opened after the moment at which open descriptors were listed."""
    later = Counter(each.origin for each in of.opened.values() if each.at > listed)
    if not later:
        return of
    origins = {
        key: replace(origin, opened=origin.opened - later[key])
        for key, origin in of.origins.items()
    }
    return Origins(origins, {fd: each for fd, each in of.opened.items() if each.at <= listed})


def _by_file(found: OpenFds) -> dict[int, list[OpenFd]]:
    """The descriptors of each struct file."""
    files: dict[int, list[OpenFd]] = defaultdict(list)
    for fd in found.fds:
        files[fd.file].append(fd)
    return files


def _open_row(fds: list[OpenFd], name: Name | None, holders: Holders | None) -> FileRow:
    fd = fds[0]
    return FileRow(
        fd.fd_type,
        file_name(fd.fd_type, fd.place, name, fd.ends),
        fd.place,
        fd.ends,
        fds=tuple(each.fd for each in fds),
        is_open=True,
        is_deleted=fd.is_deleted,
        flags=fd.flags,
        position=fd.position,
        receive_queue=fd.receive_queue,
        send_queue=fd.send_queue,
        peers=holders.peers_of(fd) if holders else (),
    )


def _seconds(file: WatchedFile) -> Iterator[float]:
    return (at / 1e9 for at in (file.key.born, file.last_used, file.closed_at))


def _cause(file: WatchedFile, process: WatchedProcess | None) -> Cause | None:
    """Why a file was closed; None where that was not seen."""
    if file.closes and file.closes >= file.opens:
        return file.cause
    if process is None or not process.ended:
        return None
    # A program that was executed since may have closed it.
    is_sure = max(file.key.born, file.last_used) >= process.execed
    return Cause.EXIT if is_sure else None


def _add(rows: dict[tuple[object, ...], FileRow], row: FileRow) -> None:
    known = rows.get(row.key)
    rows[row.key] = row if known is None else known.plus(row)


def _passed_by(file: WatchedFile, watched: Watched) -> Peer | None:
    """The watched process that had a received file before; None if none is known."""
    if file.birth not in (Birth.SCM_RIGHTS, Birth.PIDFD_GETFD):
        return None
    for key, other in watched.files.items():
        if (
            key.file == file.key.file
            and key.owner != file.key.owner
            and key.born <= file.key.born
            and other.place.inode == file.place.inode
        ):
            process = watched.processes.get(key.owner)
            name = printable(process.name) if process else ""
            return Peer(key.owner.tgid, name, -1 if other.fd is None else other.fd)
    return None


def _tables_of_host(lister: Lister) -> list[OpenFds]:
    found = map(lister.fds_of, lister.processes())
    return [each for each in found if isinstance(each, OpenFds)]


def _other_ends(lister: Lister, tables: Iterable[OpenFds]) -> list[OpenFds]:
    """Of all processes, the descriptors that can be the other end of one in these tables."""
    inodes, ports = set[int](), set[int]()
    for fd in (fd for table in tables for fd in table.fds):
        if fd.fd_type is FdType.FIFO:
            inodes.add(fd.place.inode)
        elif fd.ends and fd.ends.peer:
            inodes.add(fd.ends.peer)
        elif fd.ends and fd.ends.remote_port:
            ports.add(fd.ends.remote_port)
    if not inodes and not ports:
        return []
    wanted = np.array(list(inodes), "<u8"), np.array(list(ports), "<u2")
    found = (lister.among(pid, *wanted) for pid in lister.processes())
    return [each for each in found if isinstance(each, OpenFds)]
