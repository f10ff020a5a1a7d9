# SPDX-License-Identifier: GPL-2.0-only
"""One compiled BPF object, its programs loaded and attached one by one."""

import errno
import os
import platform
from dataclasses import replace

import numpy as np

from fdscope.probes.attach import chosen, kprobe_multi, maps, source
from fdscope.probes.attach.compiler import LoadError, import_bcc, obtained
from fdscope.probes.attach.programs import Programs
from fdscope.probes.attach.report import HookStatus, State
from fdscope.probes.attach.settings import Settings
from fdscope.probes.hooks.syscalls import WALKS, TailCall, followed, meanings, table
from fdscope.probes.hooks.table import Hook, Point
from fdscope.probes.kernel.btf import Btf
from fdscope.probes.kernel.libbpf import ProgramKind
from fdscope.probes.schema.records import dtype
from fdscope.probes.schema.taxonomy import Door, Layer, Mode

_MAX_ACTIVE = 4096
"""Calls of a function that can be in flight at once in kprobe mode (KRETPROBE_MAXACTIVE_MAX)."""
_TAIL_CALL_DOORS = {
    TailCall.MESSAGES: Door.SOCKET_CALL,
    TailCall.AIO_EVENTS: Door.AIO,
    TailCall.AIO_SUBMISSIONS: Door.AIO,
}


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        if error.errno == errno.EPERM and os.geteuid() == 0:
            return f"{error.strerror} (EPERM), even as root"
        return error.strerror
    return str(error)


class Attacher:
    """One compiled BPF object, and its hooks attached one by one."""

    def __init__(self, mode: Mode, settings: Settings, btf: Btf | None) -> None:
        """Compile; LoadError if the compiler or the kernel's layouts refuse."""
        by_fprobe = mode is Mode.KPROBE and kprobe_multi.work(btf)
        compiled, self.origin = obtained(mode, settings, btf, by_fprobe)
        self.compiler = compiled.compiler
        try:
            self._programs = Programs(compiled)
        except OSError as error:
            raise LoadError(_reason(error)) from error
        self._linked = kprobe_multi.Linked(self._programs) if by_fprobe else None
        self._mode = mode
        self._btf = btf
        self._latency = settings.latency
        self._spotlight = settings.spotlight
        self._avoid = settings.avoid
        self._maps = maps.handed_over(mode, settings)

    def attach(self, hook: Hook) -> HookStatus:
        """Attach one hook; how it went. LoadError if it is required and cannot be attached."""
        is_raw = hook.point is Point.RAW_TRACEPOINT and not self._by_function(hook)
        mode = Mode.TRACEPOINT if is_raw else self._mode
        status = HookStatus.of(hook.function, hook.layer, mode, hook.door)
        if not chosen.has(hook, self._btf, self._avoid):
            why = "this kernel has no such function"
            status = replace(status, state=State.ABSENT, why=why)
        else:
            try:
                self._attach(hook)
            except (OSError, LookupError, ValueError) as error:
                status = replace(status, state=State.FAILED, why=_reason(error))
        if hook.required and not status.is_attached:
            raise LoadError(f"{hook.function}: {status.why}")
        return status

    def _attach(self, hook: Hook) -> None:
        name, program = hook.function, hook.program
        latency = self._latency and hook.layer is Layer.FILE and hook.point is Point.RETURN
        with_entry = hook.point in (Point.CALL, Point.ENTRY) or latency
        with_return = hook.point is not Point.ENTRY
        keeps_arguments = hook.point is not Point.RESULT
        if self._linked and self._by_function(hook):
            # What was attached last runs first.
            for further in reversed(source.further(name, self._mode, self._btf)):
                self._linked.attach_more(f"function_{further}", name)
            self._linked.attach_tracepoint(f"function_{name}", name)
        elif hook.point is Point.RAW_TRACEPOINT:
            self._programs.attach_raw_tracepoint(name, f"on_{name}")
            for further in source.further(name, self._mode, self._btf):
                self._attach_more(f"on_{further}", name)
        elif self._linked and self._programs.has(f"session_{program}"):
            self._linked.attach_session(f"session_{program}", name)
        elif self._linked:
            if with_return:
                self._linked.attach(f"return_{program}", name, at_return=True)
            if keeps_arguments:
                self._linked.attach(f"enter_{program}", name)
        elif self._mode is Mode.FENTRY:
            if with_entry:
                self._attach_function("kfunc__", hook, at_return=False)
            if with_return:
                self._attach_function("kretfunc__", hook, at_return=True)
        else:
            library = import_bcc().lib
            if with_return:
                self._programs.attach_kprobe(f"return_{program}", name, True, library, _MAX_ACTIVE)
            if keeps_arguments:
                self._programs.attach_kprobe(f"enter_{program}", name, False, library)

    def _attach_more(self, name: str, tracepoint: str) -> None:
        """Attach one more program to a raw tracepoint: it runs after those that are there."""
        self._programs.attach_raw_tracepoint(tracepoint, name)
        self._programs.links.append(self._programs.programs.pop(name))

    def _by_function(self, hook: Hook) -> bool:
        return self._linked is not None and chosen.is_function(hook, self._btf)

    def _attach_function(self, prefix: str, hook: Hook, at_return: bool) -> None:
        """Attach a fentry or fexit program: since BCC 0.27 its name holds the module too."""
        names = prefix + hook.program, f"{prefix}vmlinux__{hook.program}"
        name = next(name for name in names if self._programs.has(name))
        function_id = self._btf.function_id(hook.function) if self._btf else None
        if function_id is None:
            raise LookupError(f"{hook.function}: this kernel has no such function")
        self._programs.attach_function(name, prefix + hook.function, function_id, at_return)

    def fill_syscalls(self) -> None:
        """Write the table of system calls: those that are followed, or what they mean for fds."""
        machine = platform.machine()
        if self._mode is Mode.TRACEPOINT:
            for slot, call in table(machine).items():
                value = np.array(call.record(), dtype("syscall"))
                self._programs.put("syscalls", slot, value.tobytes())
            for number, how in followed(machine).items():
                self._programs.put("followed", number, bytes([how]))
        else:
            for slot, meaning in meanings(machine).items():
                self._programs.put("fd_calls", slot, np.array(meaning, dtype("fd_call")).tobytes())

    def load_tail_calls(self) -> list[HookStatus]:
        """Load the programs that others call; how each went."""
        tails = TailCall if self._mode is Mode.TRACEPOINT else WALKS
        unused = WALKS if source.loops(self._mode, self._btf) else ()
        return [self._load_tail_call(tail) for tail in tails if tail not in unused]

    def load_on_demand(self) -> list[HookStatus]:
        """Load the programs that are run on demand: the census and others.

        Only those that are refused have a status: they are no hooks.
        """
        refused = []
        lists = (("files", self._load_list_of_files),) if self._spotlight else ()
        for name, load in (
            ("census", self._load_census_of_fds),
            *lists,
            ("cgroups", lambda: self._load_alone("on_cgroups")),
            ("operations", lambda: self._load_alone("on_operations")),
        ):
            try:
                load()
            except (OSError, LookupError, ValueError) as error:
                where = (name, Layer.PROCESS, self._mode, None)
                refused.append(HookStatus.of(*where, State.FAILED, _reason(error)))
        return refused

    def _load_census_of_fds(self) -> None:
        compiled = [
            (number, name)
            for number, name in enumerate(maps.CENSUS_CALLS)
            if self._programs.has(f"on_census_{name.lower()}")
        ]
        for number, name in compiled:
            program = self._programs.load(f"on_census_{name.lower()}", ProgramKind.RAW_TRACEPOINT)
            self._programs.put("census_calls", number, program)
        self._programs.load("on_census", ProgramKind.RAW_TRACEPOINT)

    def _load_alone(self, name: str) -> None:
        self._programs.load(name, ProgramKind.RAW_TRACEPOINT)

    def _load_list_of_files(self) -> None:
        self._load_alone("on_files")
        self._load_alone("on_path")

    def _load_tail_call(self, tail: TailCall) -> HookStatus:
        name = tail.name.lower()
        status = HookStatus.of(name, Layer.FILE, self._mode, _TAIL_CALL_DOORS.get(tail))
        kind = ProgramKind.KPROBE_MULTI if self._linked else ProgramKind.RAW_TRACEPOINT
        try:
            self._programs.put("tail_calls", tail, self._programs.load(f"on_{name}", kind))
        except (OSError, LookupError, ValueError) as error:
            return replace(status, state=State.FAILED, why=_reason(error))
        return status

    def map_bytes(self) -> dict[str, int]:
        """Kernel memory of each map, also of those that user space does not read."""
        return self._programs.map_bytes()

    def open_files(self) -> tuple[list[str], list[int]]:
        """(program names, file descriptors: maps as in the table, programs, then links)."""
        ours = self._programs
        map_fds = [ours.maps[each.name] for each in self._maps]
        return list(ours.programs), [*map_fds, *ours.programs.values(), *ours.links]
