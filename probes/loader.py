# SPDX-License-Identifier: GPL-2.0-only
"""Compiles, loads and attaches the programs; the only importer of ``bcc``.

It runs as a process of its own (``python -m probes.loader FD``), which hands the open maps
and links to ``probes.session`` over the socket FD and ends: the compiler's memory ends with it,
and what is attached ends with the process that holds the links.
"""

import contextlib
import json
import os
import platform
import socket
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from probes import source
from probes.btf import VMLINUX, Btf, BtfError
from probes.fd_calls import meanings, table
from probes.hooks import CHOICES, Choice, Hook, Point
from probes.layout import LayoutError
from probes.source import Settings
from probes.syscalls import IN_ALL_MODES, TailCall
from probes.taxonomy import Door, Layer, Mode

_KALLSYMS = Path("/proc/kallsyms")
_KERNEL_HEADERS = (
    Path(f"/lib/modules/{platform.release()}/build"),
    Path("/sys/kernel/kheaders.tar.xz"),
)
_MAX_ACTIVE = 4096
"""Calls of a function that can be under way at once in kprobe mode (KRETPROBE_MAXACTIVE_MAX)."""
_TAIL_CALL_DOORS = {
    TailCall.MESSAGES: Door.SOCKET_CALL,
    TailCall.AIO_EVENTS: Door.AIO,
    TailCall.AIO_SUBMISSIONS: Door.AIO,
}


class LoadError(Exception):
    """A mode that cannot be used here; the text says why."""


@dataclass
class Report:
    """What came of the attach: plain values that go through JSON."""

    mode: str = ""
    bcc: str = ""
    """Version of the compiler."""
    layouts: str = "btf"
    hooks: list[dict[str, str]] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)
    """The modes that were tried before, each with the reason."""
    maps: list[str] = field(default_factory=list)
    programs: list[str] = field(default_factory=list)
    open_files: int = 0
    """Number of descriptors that follow: of the maps, the programs, then the links."""
    error: str = ""


def import_bcc() -> Any:
    """The distribution's ``bcc``; LoadError says what to install where it is not there."""
    try:
        import bcc
    except ImportError as error:
        raise LoadError(
            f"the Python package bcc cannot be imported ({error}): install python3-bpfcc and use"
            " the distribution's Python with its site packages"
        ) from error
    if not hasattr(bcc, "BPF"):
        raise LoadError(
            f"{bcc.__file__} is not the BPF Compiler Collection but another package of that name:"
            " remove it (pip uninstall bcc) and install python3-bpfcc"
        )
    return bcc


def _symbols() -> set[str]:
    with _KALLSYMS.open() as lines:
        return {line.split()[2] for line in lines}


def _reason(error: Exception) -> str:
    """What bcc says, without its guess at the user."""
    text = str(error)
    if "super-user privileges" in text and os.geteuid() == 0:
        return "the kernel refuses programs of this type (EPERM), though we are root"
    return text.replace("b'", "'")


class Attacher:
    """One compiled BPF object, and its hooks attached one by one."""

    def __init__(self, mode: Mode, settings: Settings, btf: Btf | None) -> None:
        """Compile; LoadError if the compiler or the kernel's layouts refuse."""
        bcc = import_bcc()

        class Module(bcc.BPF):  # type: ignore[misc, name-defined]  # bcc has no types
            def _trace_autoload(self) -> None:
                """Nothing: BCC would attach all functions, and fail all if one fails."""

        if btf is not None:
            os.environ["BCC_KERNEL_SOURCE"] = str(source.STUB_DIR)
        elif mode is Mode.FENTRY:
            raise LoadError("it needs the kernel's BTF (CONFIG_DEBUG_INFO_BTF), which is not there")
        elif not any(path.exists() for path in _KERNEL_HEADERS):
            release = platform.release()
            raise LoadError(
                f"the kernel has no BTF ({VMLINUX}) and its headers are not installed:"
                f" install linux-headers-{release}"
            )
        self._lib = bcc.lib
        self._raw_tracepoint = bcc.BPF.RAW_TRACEPOINT
        self._mode = mode
        self._btf = btf
        self._symbols = _symbols() if btf is None else set()
        try:
            self._bpf = Module(
                text=source.text(mode, settings, btf).encode(),
                cflags=[
                    f"-I{source.BPF_DIR}",
                    f"-DMACHINE_{platform.machine()}=1",
                    "-Wno-unused-function",
                ],
            )
        except LayoutError as error:
            raise LoadError(str(error)) from error
        except Exception as error:  # bcc raises nothing more precise
            raise LoadError(f"BCC cannot compile the programs: {error}") from error
        self.fds: list[int] = []
        self.programs: list[str] = []
        self._latency = settings.latency
        self._avoid = settings.avoid
        self._maps = source.maps(mode, settings)

    def has(self, hook: Hook) -> bool:
        """True if this kernel has the function or tracepoint, and it is not to be avoided."""
        if hook.function in self._avoid:
            return False
        if hook.point is Point.RAW_TRACEPOINT:
            if self._btf is None:
                return f"__traceiter_{hook.function}" in self._symbols
            arity = self._btf.tracepoint_arity(hook.function)
            return arity is not None and (not hook.arities or arity in hook.arities)
        if self._btf is None:
            return hook.function in self._symbols
        return self._btf.has_function(hook.function)

    def choose(self, choice: Choice) -> tuple[Hook, ...]:
        """The first candidate of which this kernel has any hook; the first of all if none."""
        for candidate in choice.candidates:
            if any(self.has(hook) for hook in candidate):
                return candidate
        return choice.candidates[0]

    def attach(self, hook: Hook) -> dict[str, str]:
        """Attach one hook; the answer says how it went and never raises for an optional one."""
        answer = {"function": hook.function, "layer": hook.layer.value, "mode": self._mode.value}
        answer["door"] = "" if hook.door is None else hook.door.label
        if hook.point is Point.RAW_TRACEPOINT:
            answer["mode"] = Mode.TRACEPOINT.value
        if not self.has(hook):
            answer |= {"state": "absent", "why": "this kernel has no such function"}
        else:
            try:
                self._attach(hook)
                answer |= {"state": "attached", "why": ""}
            except Exception as error:  # bcc raises nothing more precise
                answer |= {"state": "failed", "why": _reason(error)}
        if hook.required and answer["state"] != "attached":
            raise LoadError(f"{hook.function}: {answer['why']}")
        return answer

    def _attach(self, hook: Hook) -> None:
        name = hook.function
        latency = self._latency and hook.layer is Layer.FILE and hook.point is Point.RETURN
        with_entry = hook.point in (Point.CALL, Point.ENTRY) or latency
        if hook.point is Point.RAW_TRACEPOINT:
            self._bpf.attach_raw_tracepoint(tp=name.encode(), fn_name=f"on_{name}".encode())
        elif self._mode is Mode.FENTRY:
            if with_entry:
                self._bpf.attach_kfunc(fn_name=self._program("kfunc__", name))
            if hook.point is not Point.ENTRY:
                self._bpf.attach_kretfunc(fn_name=self._program("kretfunc__", name))
        else:
            if hook.point is not Point.ENTRY:
                self._bpf.attach_kretprobe(
                    event=name.encode(), fn_name=f"return_{name}".encode(), maxactive=_MAX_ACTIVE
                )
            self._bpf.attach_kprobe(event=name.encode(), fn_name=f"enter_{name}".encode())

    def _program(self, prefix: str, function: str) -> bytes:
        """Name that BCC gave a fentry or fexit program; since 0.27 it holds the module too."""
        names = (prefix + function).encode(), (f"{prefix}vmlinux__{function}").encode()
        return next(name for name in names if self._lib.bpf_function_start(self._bpf.module, name))

    def fill_syscalls(self) -> None:
        """Write the table of system calls: those that are followed, or what they mean for fds."""
        machine = platform.machine()
        if self._mode is Mode.TRACEPOINT:
            calls = self._bpf[b"syscalls"]
            for slot, call in table(machine).items():
                calls[calls.Key(slot)] = calls.Leaf(*call.record())
        else:
            calls = self._bpf[b"fd_calls"]
            for slot, meaning in meanings(machine).items():
                calls[calls.Key(slot)] = calls.Leaf(*meaning)

    def load_tail_calls(self) -> list[dict[str, str]]:
        """Load the programs that others go on in; the answers are those of ``attach``."""
        tails = TailCall if self._mode is Mode.TRACEPOINT else IN_ALL_MODES
        return [self._load_tail_call(tail) for tail in tails]

    def load_census(self) -> None:
        """Load the program that is run on demand; without it there is no census."""
        with contextlib.suppress(Exception):  # bcc raises nothing more precise
            self._bpf.load_func(b"on_census", self._raw_tracepoint)

    def _load_tail_call(self, tail: TailCall) -> dict[str, str]:
        name = tail.name.lower()
        answer = {"function": name, "layer": Layer.FILE.value, "mode": self._mode.value}
        answer["door"] = _TAIL_CALL_DOORS[tail].label if tail in _TAIL_CALL_DOORS else ""
        tail_calls = self._bpf[b"tail_calls"]
        try:
            program = self._bpf.load_func(f"on_{name}".encode(), self._raw_tracepoint)
            tail_calls[tail_calls.Key(tail)] = tail_calls.Leaf(program.fd)
        except Exception as error:  # bcc raises nothing more precise
            return answer | {"state": "failed", "why": _reason(error)}
        return answer | {"state": "attached", "why": ""}

    def open_files(self) -> tuple[list[str], list[str], list[int]]:
        """(map names, program names, file descriptors: maps, programs, then links)."""
        bpf = self._bpf
        maps = {name: bpf[name.encode()].map_fd for name in self._maps}
        programs = {name.decode(): function.fd for name, function in bpf.funcs.items()}
        links = [
            *bpf.raw_tracepoint_fds.values(),
            *bpf.kfunc_entry_fds.values(),
            *bpf.kfunc_exit_fds.values(),
            *(fd for functions in bpf.kprobe_fds.values() for fd in functions.values()),
        ]
        return list(maps), list(programs), [*maps.values(), *programs.values(), *links]


def attach(
    mode: Mode, settings: Settings, btf: Btf | None
) -> tuple[Attacher, list[dict[str, str]]]:
    """Attach all hooks of a mode; LoadError if a required one is refused."""
    attacher = Attacher(mode, settings, btf)
    attacher.fill_syscalls()
    chosen = [hook for choice in CHOICES[mode] for hook in attacher.choose(choice)]
    # What tells that the mode cannot be used comes before what only takes time.
    decisive = [hook for hook in chosen if hook.required and hook.point is Point.RETURN]
    hooks = [attacher.attach(hook) for hook in decisive]
    hooks += attacher.load_tail_calls()
    attacher.load_census()
    hooks += [attacher.attach(hook) for hook in chosen if hook not in decisive]
    return attacher, hooks


def load(modes: list[Mode], settings: Settings) -> tuple[Report, list[int]]:
    """Attach in the first mode that works; the report has ``error`` set if none does."""
    report = Report()
    btf = None
    try:
        btf = Btf.read()
    except BtfError:
        report.layouts = "headers"
    for mode in modes:
        try:
            attacher, report.hooks = attach(mode, settings, btf)
        except LoadError as error:
            report.refused.append({"mode": mode.value, "why": str(error)})
            continue
        report.mode = mode.value
        report.bcc = import_bcc().__version__
        report.maps, report.programs, fds = attacher.open_files()
        report.open_files = len(fds)
        return report, fds
    report.error = "; ".join(f"{entry['mode']}: {entry['why']}" for entry in report.refused)
    return report, []


def main(request: str, channel: int) -> None:
    """Answer one request of ``probes.session``."""
    wanted = json.loads(request)
    modes = [Mode(mode) for mode in wanted["modes"]]
    report, fds = load(modes, Settings(**wanted["settings"]))
    with socket.socket(fileno=channel) as peer:
        payload = json.dumps(asdict(report)).encode()
        peer.sendall(len(payload).to_bytes(4, "little") + payload)
        for fd in fds:
            socket.send_fds(peer, [b"f"], [fd])
    # Not sys.exit(): bcc would detach at exit what now belongs to the receiver.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
