# SPDX-License-Identifier: GPL-2.0-only
"""Sampled kernel stacks as paths, from the door down to the socket layer."""

from collections.abc import Mapping, Sequence
from typing import Any

from fdscope.probes.kernel.kallsyms import Symbols
from fdscope.probes.read.maps import HashMap
from fdscope.probes.schema.records import NO_STACK
from fdscope.probes.schema.taxonomy import Account, FdType

UNKNOWN_PATH = "(unknown)"
"""No stack, or none of its functions could be named."""

# Functions between the socket layer and the BPF program: tracepoints, kprobes.
_INSIDE = (
    "bpf_prog_", "bpf_trace_", "bpf_get_", "__bpf_", "__traceiter_", "__probestub_",
    "call_trace_sock_", "trace_call_bpf", "kprobe_", "kretprobe_", "__kretprobe_",
    "arch_rethook_", "rethook_", "ftrace_", "trampoline_handler",
)  # fmt: skip
_TRAMPOLINE = "bpf_trampoline_"
"""The kernel calls a function with a fentry program through it."""
# Functions between the processor's entry into the kernel and the door.
_OUTSIDE = (
    "__x64_sys_", "__ia32_", "__arm64_", "__se_", "x64_sys_call", "ia32_sys_call",
    "do_syscall_", "__do_fast_syscall_", "do_fast_syscall_", "do_int80_", "int80_", "entry_",
    "invoke_syscall", "ret_from_fork", "el0", "asm_",
)  # fmt: skip


def path(functions: Sequence[str]) -> str:
    """Outermost first, e.g. ``ksys_write > vfs_write > sock_write_iter``.

    ``functions`` is the whole stack, innermost first; "" stands for one without a name.
    """
    start = max((i + 1 for i, name in enumerate(functions) if name.startswith(_INSIDE)), default=0)
    end = next(
        (i for i in range(start, len(functions)) if functions[i].startswith(_OUTSIDE)),
        len(functions),
    )
    way = [name or "?" for name in functions[start:end] if not name.startswith(_TRAMPOLINE)]
    return " > ".join(reversed(way)) or UNKNOWN_PATH


class Stacks:
    """The maps of the sampled stacks; each stack is read and named once."""

    def __init__(self, stacks: HashMap, samples: HashMap) -> None:
        """Take the two maps."""
        self._stacks, self._samples = stacks, samples
        self._symbols = Symbols()
        self._paths: dict[int, str] = {NO_STACK: UNKNOWN_PATH}

    def read(self) -> dict[tuple[FdType, Account, str], int]:
        """Samples by fd type, direction (an account of the socket layer) and path."""
        keys, counts = self._samples.read()
        self._learn(set(keys["stack"].tolist()))
        samples: dict[tuple[FdType, Account, str], int] = {}
        for (stack, fd_type, account), count in zip(
            keys.tolist(), counts[:, 0].tolist(), strict=True
        ):
            what = FdType(fd_type), Account(account), self._paths[stack]
            samples[what] = samples.get(what, 0) + count
        return samples

    def close(self) -> None:
        """Close the symbols; the maps are the session's."""
        self._symbols.close()

    def _learn(self, stacks: set[int]) -> None:
        frames = {stack: self._frames(stack) for stack in stacks - self._paths.keys()}
        names: Mapping[int, str] = self._symbols.names({a for f in frames.values() for a in f})
        for stack, addresses in frames.items():
            self._paths[stack] = path([names[address] for address in addresses])

    def _frames(self, stack: int) -> list[int]:
        value: Any = self._stacks.get(stack)
        return [address for address in value["address"].tolist() if address]
