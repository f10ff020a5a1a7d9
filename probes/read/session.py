# SPDX-License-Identifier: GPL-2.0-only
"""Attached probes: holds what the loader attached, reads the maps into snapshots."""

import os
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from fdscope.probes.attach import kprobe_events, maps
from fdscope.probes.attach.launch import launch
from fdscope.probes.attach.report import Report
from fdscope.probes.attach.settings import Settings
from fdscope.probes.hooks.table import functions
from fdscope.probes.kernel import libbpf
from fdscope.probes.kernel.preemption import allow_undisturbed, best_first
from fdscope.probes.read import census, cgroups, decode, files, operations
from fdscope.probes.read.aside import Aside
from fdscope.probes.read.cells import Cells
from fdscope.probes.read.census import Census
from fdscope.probes.read.cgroups import Cgroups
from fdscope.probes.read.events import Events
from fdscope.probes.read.files import FileLister
from fdscope.probes.read.maps import Array, OpenMaps, over_cpus
from fdscope.probes.read.operations import OperationsReader
from fdscope.probes.read.origins import OriginMaps
from fdscope.probes.read.spotlight import Spotlight
from fdscope.probes.read.stacks import Stacks
from fdscope.probes.schema.records import dtype
from fdscope.probes.schema.snapshot import (
    Accounts,
    Amount,
    FdFlow,
    MapFill,
    ProcessKey,
    Runs,
    Snapshot,
    UnderWay,
)
from fdscope.probes.schema.taxonomy import Layer, Loss, Mode

_GRACE_SECONDS = 5


def _spotlight(opened: OpenMaps, with_origins: bool) -> Spotlight:
    origins = (
        OriginMaps(
            opened.hash_map("origins"),
            opened.hash_map("opened_fds"),
            opened.hash_map("user_stacks"),
            opened.hash_map("pythons"),
        )
        if with_origins
        else None
    )
    return Spotlight(
        opened.per_cpu_array("watching"),
        {
            "watched": opened.hash_map("watched"),
            "watched_processes": opened.hash_map("watched_processes"),
            "held_files": opened.hash_map("held_files"),
            "watched_files": opened.hash_map("watched_files"),
            "file_amounts": opened.hash_map("file_amounts"),
            "file_names": opened.hash_map("file_names"),
        },
        origins,
    )


class Session:
    """Probes that are attached until ``close()`` or the end of the process."""

    def __init__(self, report: Report, fds: Sequence[int], settings: Settings) -> None:
        self.report = report
        self.settings = settings
        self.preference = best_first()
        """The attach modes, best first on this kernel; the mode in use may be a later one."""
        self._fds = list(fds)
        opened = OpenMaps(maps.handed_over(self.mode, settings), fds, settings)
        self._programs = dict(zip(report.programs, fds[len(opened) :], strict=False))
        self.census = self._census(opened)
        """The census of open descriptors; None if its program could not be loaded."""
        self.lister = self._lister(opened)
        """The list of open descriptors; None if its programs could not be loaded."""
        self.cgroups = Cgroups(
            opened.hash_map("cgroups"),
            self._programs.get(cgroups.PROGRAM),
            opened.descriptor("cgroup_chain"),
        )
        program = self._programs.get(operations.PROGRAM)
        self.operations = (
            None if program is None else OperationsReader(program, opened.descriptor("operations"))
        )
        """The functions of a file; None if the program could not be loaded."""
        self._reading = threading.Lock()
        self._aside = Aside()
        self._counter_keys = np.empty(0, dtype("counter_key"))
        """Keys that ``accounts()`` has read last: only these may be removed."""
        self._without_room = np.empty(0, dtype("counter_key"))
        """Keys of counters in cells that have no entry in the hash map yet: see ``_reserve``."""
        self._amounts = decode.AmountsReader()
        self._known_processes = decode.ProcessesReader()
        self._counters = opened.hash_map("counters")
        self._cells = Cells(opened.descriptor("cells"))
        self._processes = opened.hash_map("processes")
        self._transfers = opened.hash_map("transfers")
        self._filesystem_bytes = opened.hash_map("filesystem_bytes")
        self._filesystems = opened.hash_map("filesystems")
        self._overflow = opened.per_cpu_array("overflow")
        self._fd_flow = opened.per_cpu_array("fd_flow")
        self._losses = opened.per_cpu_array("losses")
        self._waits = (
            opened.per_cpu_array("fanotify_waits")
            if any(h.function == "fanotify_handle_event" and h.is_attached for h in report.hooks)
            else None
        )
        self.events = (
            Events(
                opened.descriptor("events"),
                opened.per_cpu_array("event_counts"),
                opened.hash_map("event_limits"),
            )
            if settings.journal
            else None
        )
        """The events of the journal; None without it."""
        self._latency = opened.per_cpu_array("latency") if settings.latency else None
        self.spotlight = _spotlight(opened, settings.origins) if settings.spotlight else None
        """The watched processes; None without them."""
        self._stacks = (
            Stacks(opened.hash_map("stacks"), opened.hash_map("stack_samples"))
            if settings.stacks_every
            else None
        )

    @property
    def mode(self) -> Mode:
        """The attach mode in use."""
        return Mode(self.report.mode)

    def _census(self, opened: OpenMaps) -> Census | None:
        program = self._programs.get(census.PROGRAM)
        return None if program is None else Census(program, opened.descriptor("census"))

    def _lister(self, opened: OpenMaps) -> FileLister | None:
        programs = self._programs.get(files.LIST_PROGRAM), self._programs.get(files.PATH_PROGRAM)
        if programs[0] is None or programs[1] is None or not self.settings.spotlight:
            return None
        lists, texts = opened.descriptor("file_lists"), opened.descriptor("path_texts")
        return FileLister((programs[0], programs[1]), lists, texts)

    @property
    def sees_sockets(self) -> bool:
        """True if the socket layer is hooked: some kernels leave tracepoint mode without it."""
        return any(
            hook.layer == Layer.SOCKET.value and hook.is_attached for hook in self.report.hooks
        )

    @property
    def blind_doors(self) -> frozenset[str]:
        """Doors of which no hook could be attached on this kernel."""
        hooks = [hook for hook in self.report.hooks if hook.door]
        seen = {hook.door for hook in hooks if hook.is_attached}
        return frozenset(hook.door for hook in hooks) - seen

    def accounts(self, of_the_living: bool = True) -> Accounts:
        """Read the amounts of all processes; OSError if the kernel refuses.

        Without ``of_the_living`` only of processes that have ended or that the kernel side does not
        know. A process is read after its counters, so that it is known.
        """
        return self._aside.with_them(self._read(of_the_living))

    def peek(self) -> Accounts:
        """Like ``accounts()``, for a thread that does not call ``accounts()`` and ``forget()``.

        OSError if the kernel refuses.
        """
        (keys, values), _ = self._read_counters(keep=False)
        process_keys, processes = self._processes.read()
        amounts = decode.AmountsReader().read(keys, values)
        return self._aside.with_them(
            Accounts(amounts, decode.ProcessesReader().read(process_keys, processes[:, 0]))
        )

    def _read_counters(self, keep: bool) -> tuple[tuple[Array, Array], Array]:
        """Keys of shape (n,), amounts of shape (n, 1), and the keys of the hash map alone.

        To be read before the processes: then a process that is counted is known. ``keep``: they
        may be removed afterwards.
        """
        keys, values = self._counters.read()
        amounts = over_cpus(values).view(values.dtype)
        of_cells, in_cells = self._cells.read(keep)
        return (np.concatenate((keys, of_cells)), np.concatenate((amounts, in_cells))), keys

    def _read(self, of_the_living: bool) -> Accounts:
        (keys, values), self._counter_keys = self._read_counters(keep=True)
        process_keys, processes = self._processes.read()
        maps = {
            "counters": MapFill(len(keys), self._counters.capacity + self._cells.capacity),
            "processes": MapFill(len(process_keys), self._processes.capacity),
            "cgroups": self.cgroups.fill(),
        }
        ended = processes["exited"][:, 0] != 0
        self._reserve(process_keys[~ended])
        if not of_the_living:
            others = ~decode.belong_to(keys, process_keys[~ended])
            keys, values = keys[others], values[others]
            process_keys, processes = process_keys[ended], processes[ended]
            amounts = decode.AmountsReader().read(keys, values)
            known = decode.ProcessesReader().read(process_keys, processes[:, 0])
        else:
            amounts = self._amounts.read(keys, values)
            known = self._known_processes.read(process_keys, processes[:, 0])
        return Accounts(amounts, known, maps)

    def _reserve(self, living: Array) -> None:
        """Add entries to the hash map for the counters that these processes have in cells.

        A cell is for one CPU. On another one the process may find none, and later no room in the
        map: it would lose its name for these bytes, although it was there before the others.
        """
        keys = np.concatenate((self._without_room, self._cells.new_keys()))
        keys = np.ascontiguousarray(keys[decode.belong_to(keys, living)])
        self._without_room = keys[self._counters.add(keys) :]

    def exited(self) -> list[ProcessKey]:
        """Processes that have ended and are still in the map; much cheaper than their amounts."""
        keys, processes = self._processes.read()
        ended = keys[processes["exited"][:, 0] != 0]
        return [ProcessKey(*key) for key in ended.tolist()]

    def set_aside(self) -> None:
        """Remove processes that have ended from the maps; later readings still include them.

        For the time until the accounts are kept, so that many short processes do not fill the maps.
        To be called repeatedly: a call removes those that an earlier one, half a second before, saw
        ended.
        """
        ended = self._aside.due(self._read(of_the_living=False), time.monotonic())
        self._remove(ended)

    def unattributed(self) -> dict[int, Amount]:
        """Slot code to what had no room under a process; errno is not kept there."""
        return decode.overflow(self._overflow.read())

    def losses(self) -> dict[Loss, int]:
        """Updates that were lost since the start, by reason."""
        return decode.losses(self._losses.read())

    def snapshot(self) -> Snapshot:
        """Read all maps once, one thread at a time; OSError if the kernel refuses."""
        with self._reading:
            return self._snapshot()

    def _snapshot(self) -> Snapshot:
        before = decode.in_flight(self._transfers.read()[1])
        accounts = self.accounts()
        under_way = UnderWay(before, decode.in_flight(self._transfers.read()[1]))
        filesystems = [
            self._cells.filesystem_bytes(),
            self._filesystem_bytes.read(),
            self._filesystems.read(),
        ]
        return Snapshot(
            accounts.amounts,
            accounts.processes,
            accounts.maps,
            overflow=self.unattributed(),
            under_way=under_way,
            losses=self.losses(),
            missed_runs=self.statistics("recursion_misses"),
            runs=self._runs(),
            stacks={} if self._stacks is None else self._stacks.read(),
            filesystems=decode.filesystems(*filesystems),
            fanotify_waits=None if self._waits is None else decode.waits(self._waits.read()),
            latency={} if self._latency is None else decode.latency(self._latency.read()),
        )

    def missed_runs(self) -> int:
        """Runs of all programs that the kernel has skipped."""
        return sum(self.statistics("recursion_misses").values())

    def fd_flow(self) -> FdFlow:
        """Descriptors opened and closed since the start, by fd type, on the whole host."""
        return decode.fd_flow(self._fd_flow.read())

    def _runs(self) -> dict[str, Runs]:
        if not libbpf.are_measured():
            return {}
        counts, times = self.statistics("run_cnt"), self.statistics("run_time_ns")
        return {program: Runs(count, times[program]) for program, count in counts.items()}

    def statistics(self, name: str) -> dict[str, int]:
        """A number that the kernel keeps of each program, see ``libbpf.statistic``."""
        return {program: libbpf.statistic(fd, name) for program, fd in self._programs.items()}

    def forget(self, processes: Sequence[ProcessKey]) -> None:
        """Remove the entries of processes that have ended, as far as they have been read."""
        self._aside.forget(processes)
        self._remove(processes)

    def _remove(self, processes: Sequence[ProcessKey]) -> None:
        if not processes:
            return
        gone = np.array(processes, dtype("process_key"))
        keys = self._counter_keys
        self._counters.delete(keys[decode.belong_to(keys, gone)])
        self._cells.give_back(gone)
        self._processes.delete(gone)

    def close(self) -> None:
        """Detach everything; the kernel does the same when the process ends.

        Returns when the kernel has freed the programs, or after some seconds.
        """
        ids = self.statistics("prog_id").values()
        if self._stacks:
            self._stacks.close()
        if self.operations:
            self.operations.close()
        self._cells.close()
        if self.events:
            self.events.close()
        while self._fds:
            os.close(self._fds.pop())
        self._programs = {}
        deadline = time.monotonic() + _GRACE_SECONDS
        while any(map(libbpf.exists, ids)) and time.monotonic() < deadline:
            time.sleep(0.02)
        if self.mode is Mode.KPROBE:
            kprobe_events.remove_left_events(functions(Mode.KPROBE))


def attach(
    modes: Sequence[Mode], settings: Settings, progress: Callable[[str], None] = lambda _: None
) -> Session:
    """Attach in the first of the modes that works here; AttachError if none does."""
    allow_undisturbed()
    kprobe_events.remove_left_events(functions(Mode.KPROBE))
    progress(f"compiling and attaching: {', '.join(mode.value for mode in modes)}")
    return Session(*launch(modes, settings), settings)
