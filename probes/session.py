# SPDX-License-Identifier: GPL-2.0-only
"""Attached probes: starts the loader, holds what it attached, reads the maps into snapshots."""

import errno
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from probes import census
from probes.census import Census
from probes.hooks import functions
from probes.maps import HashMap, PerCpuArray, host_cpus, over_cpus, program_exists
from probes.records import dtype
from probes.snapshot import (
    LATENCY_STRIDE,
    OVERFLOW_SHAPE,
    UNKNOWN_ERRNO,
    Amount,
    FdFlow,
    Latency,
    MapFill,
    Process,
    ProcessKey,
    Runs,
    Snapshot,
)
from probes.source import FILESYSTEM_BYTES_ENTRIES, FILESYSTEM_ENTRIES, Settings
from probes.stacks import Stacks
from probes.taxonomy import Account, FdType, Layer, Loss, Mode

_STATISTICS = Path("/proc/sys/kernel/bpf_stats_enabled")
_TIMEOUT_SECONDS = 600
"""For the loader: real kernel headers on an emulated CPU take minutes."""
_GRACE_SECONDS = 5
UNKNOWN_FILESYSTEM = "(unknown)"
"""Where the map of names is full."""
_LOG_CHARACTERS = 2000
"""How much of the compiler's messages an error shows."""
_KPROBE_EVENTS = (
    Path("/sys/kernel/tracing/kprobe_events"),
    Path("/sys/kernel/debug/tracing/kprobe_events"),
)


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


class Session:
    """Probes that are attached until ``close()`` or the end of the process."""

    def __init__(self, report: dict[str, Any], fds: Sequence[int], settings: Settings) -> None:
        self.report = report
        self.settings = settings
        self._fds = list(fds)
        maps, programs = report["maps"], report["programs"]
        by_name = dict(zip(maps, fds, strict=False))
        self._programs = dict(zip(programs, fds[len(maps) :], strict=False))
        self._census = by_name[census.MAP]
        self._fd_flow = PerCpuArray(
            by_name["fd_flow"], np.dtype("<u8"), 2 * len(FdType), host_cpus()
        )
        cpus = host_cpus()
        self._counters = HashMap(
            by_name["counters"],
            dtype("counter_key"),
            dtype("amount"),
            settings.counter_entries,
            cpus,
        )
        self._processes = HashMap(
            by_name["processes"], dtype("process_key"), dtype("process"), settings.process_entries
        )
        self._filesystem_bytes = HashMap(
            by_name["filesystem_bytes"],
            dtype("filesystem_key"),
            np.dtype("<u8"),
            FILESYSTEM_BYTES_ENTRIES,
            cpus,
        )
        self._filesystems = HashMap(
            by_name["filesystems"], np.dtype("<u8"), dtype("filesystem"), FILESYSTEM_ENTRIES
        )
        self._overflow = PerCpuArray(
            by_name["overflow"], dtype("amount"), math.prod(OVERFLOW_SHAPE), cpus
        )
        self._losses = PerCpuArray(by_name["losses"], np.dtype("<u8"), len(Loss), cpus)
        self._waits = (
            PerCpuArray(by_name["fanotify_waits"], np.dtype("<u8"), LATENCY_STRIDE, cpus)
            if self._has_attached("function", "fanotify_handle_event")
            else None
        )
        self._latency = (
            PerCpuArray(by_name["latency"], np.dtype("<u8"), 2 * len(FdType) * LATENCY_STRIDE, cpus)
            if "latency" in by_name
            else None
        )
        self._stacks = (
            Stacks(by_name["stacks"], by_name["stack_samples"]) if "stacks" in by_name else None
        )

    @property
    def mode(self) -> Mode:
        """The attach mode in use."""
        return Mode(self.report["mode"])

    @property
    def census(self) -> Census | None:
        """The census of open descriptors; None if its program could not be loaded."""
        program = self._programs.get(census.PROGRAM)
        return None if program is None else Census(program, self._census)

    @property
    def sees_sockets(self) -> bool:
        """True if the socket layer is hooked: some kernels leave tracepoint mode without it."""
        return self._has_attached("layer", Layer.SOCKET.value)

    def _has_attached(self, field: str, value: str) -> bool:
        return any(
            hook[field] == value and hook["state"] == "attached" for hook in self.report["hooks"]
        )

    @property
    def blind_doors(self) -> frozenset[str]:
        """Doors of which no hook could be attached on this kernel."""
        hooks = [hook for hook in self.report["hooks"] if hook["door"]]
        seen = {hook["door"] for hook in hooks if hook["state"] == "attached"}
        return frozenset(hook["door"] for hook in hooks) - seen

    def snapshot(self) -> Snapshot:
        """Read all maps once; OSError if the kernel refuses.

        The order matters: a process is read after its counters, so that each counter's process
        is known.
        """
        keys, values = self._counters.read()
        filesystem_bytes = self._filesystem_bytes.read()
        process_keys, processes = self._processes.read()
        return Snapshot(
            amounts=_amounts(keys, values),
            processes=_processes(process_keys, processes[:, 0]),
            overflow=_overflow(self._overflow.read()),
            losses={
                loss: int(count)
                for loss, count in zip(Loss, self._losses.read().sum(axis=1), strict=True)
            },
            maps={
                "counters": MapFill(len(keys), self._counters.capacity),
                "processes": MapFill(len(process_keys), self._processes.capacity),
            },
            missed_runs=self._statistics("recursion_misses"),
            runs=self._runs(),
            stacks={} if self._stacks is None else self._stacks.read(),
            filesystems=_filesystems(filesystem_bytes, self._filesystems.read()),
            fanotify_waits=None if self._waits is None else _waits(self._waits.read()),
            latency={} if self._latency is None else _latency(self._latency.read()),
        )

    def fd_flow(self) -> FdFlow:
        """Descriptors opened and closed since the start, by fd type, on the whole host."""
        opened, closed = self._fd_flow.read().sum(axis=1).reshape(2, len(FdType)).tolist()
        return FdFlow(
            dict(zip(FdType, opened, strict=True)), dict(zip(FdType, closed, strict=True))
        )

    def _runs(self) -> dict[str, Runs]:
        if _STATISTICS.read_text().strip() != "1":
            return {}
        counts, times = self._statistics("run_cnt"), self._statistics("run_time_ns")
        return {program: Runs(count, times[program]) for program, count in counts.items()}

    def _statistics(self, name: str) -> dict[str, int]:
        return {program: _program_statistic(fd, name) for program, fd in self._programs.items()}

    def forget(self, processes: Sequence[ProcessKey]) -> None:
        """Remove all entries of processes that have ended."""
        if not processes:
            return
        gone = np.array(processes, dtype("process_key"))
        keys, _ = self._counters.read()
        names = keys[["tgid", "start"]].astype(dtype("process_key"))
        self._counters.delete(keys[np.isin(names.view("<u8"), gone.view("<u8"))])
        self._processes.delete(gone)

    def close(self) -> None:
        """Detach everything; the kernel does the same when the process ends.

        Returns when the kernel has freed the programs, or after some seconds.
        """
        programs = self._statistics("prog_id").values()
        if self._stacks:
            self._stacks.close()
        while self._fds:
            os.close(self._fds.pop())
        self._programs = {}
        deadline = time.monotonic() + _GRACE_SECONDS
        while any(map(program_exists, programs)) and time.monotonic() < deadline:
            time.sleep(0.02)
        if self.mode is Mode.KPROBE:
            _remove_kprobe_events()


def _amounts(keys: Any, values: Any) -> dict[ProcessKey, dict[int, Amount]]:
    words = keys.view("<u4").reshape(-1, 3)
    sums = over_cpus(values)
    amounts: dict[ProcessKey, dict[int, Amount]] = {}
    for (tgid, start, code), (operations, byte_count) in zip(
        words.tolist(), sums.tolist(), strict=True
    ):
        slots = amounts.setdefault(ProcessKey(tgid, start), {})
        slots[code] = Amount(operations, byte_count)
    return amounts


def _processes(keys: Any, values: Any) -> dict[ProcessKey, Process]:
    return {
        ProcessKey(tgid, start): Process(comm.partition(b"\0")[0], cgroup_id, bool(exited))
        for (tgid, start), (cgroup_id, exited, comm) in zip(
            keys.tolist(), values.tolist(), strict=True
        )
    }


def _overflow(values: Any) -> dict[int, Amount]:
    """The compact index of the overflow array as the slot code of a counter key."""
    sums = over_cpus(values)
    overflow = {}
    for index in np.flatnonzero(sums[:, 0]).tolist():
        failed, via, fd_type, account = map(int, np.unravel_index(index, OVERFLOW_SHAPE))
        code = account | fd_type << 8 | via << 16 | (UNKNOWN_ERRNO << 24 if failed else 0)
        overflow[code] = Amount(*sums[index].tolist())
    return overflow


def _filesystems(
    counted: tuple[Any, Any], named: tuple[Any, Any]
) -> dict[tuple[str, FdType, Account], int]:
    """Bytes by name: the names are read last, so that each is there."""
    names = {
        int(address): name.decode(errors="backslashreplace")
        for address, (name,) in zip(named[0], named[1][:, 0].tolist(), strict=True)
    }
    keys, values = counted
    return {
        (names.get(address, UNKNOWN_FILESYSTEM), FdType(fd_type), Account(account)): total
        for (address, fd_type, account), total in zip(
            keys.tolist(), values.sum(axis=1).tolist(), strict=True
        )
    }


def _latency(values: Any) -> dict[tuple[FdType, Account], Latency]:
    tables = values.sum(axis=1).reshape(2, len(FdType), LATENCY_STRIDE)
    return {
        (fd_type, account): Latency(tuple(slots[:-1].tolist()), int(slots[-1]))
        for account, table in zip((Account.FILE_READ, Account.FILE_WRITE), tables, strict=True)
        for fd_type, slots in zip(FdType, table, strict=True)
        if slots.any()
    }


def _waits(values: Any) -> Latency:
    slots = values.sum(axis=1).tolist()
    return Latency(tuple(slots[:-1]), slots[-1])


def _program_statistic(program: int, name: str) -> int:
    """A number that the kernel keeps of a program, e.g. ``recursion_misses``; 0 if it does not."""
    for line in Path(f"/proc/self/fdinfo/{program}").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value)
    return 0


def _remove_kprobe_event(path: Path, event: str) -> None:
    events = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(events, f"-:{event}\n".encode())
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
    finally:
        os.close(events)


def _remove_kprobe_events() -> None:
    """Remove what loaders left in tracefs: closing a kprobe leaves its event behind.

    BCC names an event FUNCTION_bcc_PID after the loader. One that is in use, by another fdscope,
    is refused and stays; all stay if we may not write there (any more).
    """
    with suppress(PermissionError):
        path = next((path for path in _KPROBE_EVENTS if path.exists()), None)
        if path is None:
            return
        ours = {f"{kind}_{name}" for name in functions(Mode.KPROBE) for kind in ("p", "r")}
        for line in path.read_text().splitlines():
            event = line.split()[0].partition(":")[2]
            name, _, loader = event.rpartition("/")[2].rpartition("_bcc_")
            if name in ours and not Path(f"/proc/{loader}").exists():
                _remove_kprobe_event(path, event)


def attach(
    modes: Sequence[Mode], settings: Settings, progress: Callable[[str], None] = lambda _: None
) -> Session:
    """Attach in the first of the modes that works here; AttachError if none does."""
    _remove_kprobe_events()
    progress(f"compiling and attaching: {', '.join(mode.value for mode in modes)}")
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
    return Session(report, fds, settings)
