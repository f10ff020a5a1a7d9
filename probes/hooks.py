# SPDX-License-Identifier: GPL-2.0-only
"""What is hooked: every kernel function and tracepoint, on which layer, in which attach modes."""

from dataclasses import dataclass
from enum import Enum

from probes.taxonomy import Layer, Mode


class Point(Enum):
    """Where in the kernel a hook hangs."""

    RETURN = "return"
    """The return of a function: a program of ``ON_RETURN`` in C."""
    FD_RETURN = "fd_return"
    """The same for a function that takes a descriptor, which entry must look at."""
    RAW_TRACEPOINT = "raw_tracepoint"


@dataclass(frozen=True, slots=True)
class Hook:
    """One kernel function or tracepoint that fdscope can hang on."""

    function: str
    layer: Layer
    point: Point
    required: bool = False
    """Without it the attach mode is not usable; others are reported and left out."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Sets of hooks that see the same; the first whose hooks the kernel has is taken."""

    candidates: tuple[tuple[Hook, ...], ...]


def _returns(layer: Layer, *functions: str, required: bool = False) -> tuple[Hook, ...]:
    return tuple(Hook(function, layer, Point.RETURN, required) for function in functions)


def _tracepoints(layer: Layer, *names: str, required: bool = False) -> tuple[Hook, ...]:
    return tuple(Hook(name, layer, Point.RAW_TRACEPOINT, required) for name in names)


PROCESS_LIFE = Choice(
    (
        (
            *_tracepoints(Layer.PROCESS, "sched_process_exit", "task_rename", required=True),
            *_tracepoints(Layer.PROCESS, "cgroup_attach_task"),
        ),
    )
)

SYSTEM_CALLS = Choice((_tracepoints(Layer.FILE, "sys_enter", "sys_exit", required=True),))

FILE_FUNCTIONS = Choice(
    (
        (
            *_returns(Layer.FILE, "vfs_read", "vfs_write", required=True),
            *_returns(Layer.FILE, "vfs_readv", "vfs_writev"),
            Hook("__sys_sendto", Layer.FILE, Point.FD_RETURN),
            Hook("__sys_recvfrom", Layer.FILE, Point.FD_RETURN),
            *_returns(Layer.FILE, "___sys_sendmsg", "___sys_recvmsg"),
        ),
    )
)

SOCKET_TRACEPOINTS = _tracepoints(Layer.SOCKET, "sock_send_length", "sock_recv_length")

PROTOCOL_OPERATIONS = _returns(
    Layer.SOCKET,
    *(
        f"{family}_{operation}"
        for operation in ("sendmsg", "recvmsg")
        for family in ("inet", "inet6", "unix_stream", "unix_dgram", "netlink", "packet")
    ),
)

CHOICES: dict[Mode, tuple[Choice, ...]] = {
    Mode.FENTRY: (
        PROCESS_LIFE,
        FILE_FUNCTIONS,
        Choice((SOCKET_TRACEPOINTS, PROTOCOL_OPERATIONS)),
    ),
    Mode.KPROBE: (
        PROCESS_LIFE,
        FILE_FUNCTIONS,
        Choice((SOCKET_TRACEPOINTS, PROTOCOL_OPERATIONS)),
    ),
    Mode.TRACEPOINT: (PROCESS_LIFE, SYSTEM_CALLS, Choice((SOCKET_TRACEPOINTS,))),
}

SOURCES: dict[Mode, tuple[str, ...]] = {
    Mode.FENTRY: ("returns.c", "vfs.c", "socket_call.c", "protocols.c"),
    Mode.KPROBE: ("returns.c", "vfs.c", "socket_call.c", "protocols.c"),
    Mode.TRACEPOINT: ("syscalls.c",),
}
"""C files of each mode, after those that all share."""

COMMON_SOURCES = ("account.c", "pending.c", "process.c", "socket.c")


def functions(mode: Mode) -> list[str]:
    """All functions that the mode's C text names, in a fixed order."""
    return [
        hook.function
        for choice in CHOICES[mode]
        for candidate in choice.candidates
        for hook in candidate
        if hook.point is not Point.RAW_TRACEPOINT
    ]
