# SPDX-License-Identifier: GPL-2.0-only
"""What is hooked: every kernel function and tracepoint, on which layer, in which attach modes."""

import platform
from dataclasses import dataclass
from enum import Enum

from fdscope.probes.schema.taxonomy import Door, Layer, Mode


class Point(Enum):
    """Where in the kernel a hook hangs."""

    RETURN = "return"
    """The return of a function: a program of ``ON_RETURN`` in C."""
    RESULT = "result"
    """The return alone, in kprobe mode too: ``ON_RESULT``."""
    CALL = "call"
    """Its entry as well: ``ON_CALL`` and ``ON_FD_RETURN``."""
    ENTRY = "entry"
    """Only its entry: ``ON_ENTRY``."""
    RAW_TRACEPOINT = "raw_tracepoint"


@dataclass(frozen=True, slots=True)
class Hook:
    """One kernel function or tracepoint that fdscope can hang on."""

    function: str
    layer: Layer
    point: Point
    required: bool = False
    """Without it the attach mode is not usable; others are reported and left out."""
    door: Door | None = None
    """The door that is blind if none of its hooks is attached."""
    arities: tuple[int, ...] = ()
    """Of a raw tracepoint: the numbers of arguments that its program understands; any if empty."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Sets of hooks that see the same; the first whose hooks the kernel has is taken."""

    candidates: tuple[tuple[Hook, ...], ...]


def _returns(
    layer: Layer, *functions: str, required: bool = False, door: Door | None = None
) -> tuple[Hook, ...]:
    return tuple(Hook(function, layer, Point.RETURN, required, door) for function in functions)


def _calls(door: Door, *functions: str) -> tuple[Hook, ...]:
    return tuple(Hook(function, Layer.FILE, Point.CALL, door=door) for function in functions)


def _entries(door: Door, *functions: str) -> tuple[Hook, ...]:
    return tuple(Hook(function, Layer.FILE, Point.ENTRY, door=door) for function in functions)


def _tracepoints(layer: Layer, *names: str, required: bool = False) -> tuple[Hook, ...]:
    return tuple(Hook(name, layer, Point.RAW_TRACEPOINT, required) for name in names)


_X86 = platform.machine() != "aarch64"


def _entry_points(call: str) -> tuple[str, ...]:
    """Functions of a system call that has no other home; 32-bit programs have their own on x86."""
    abis = ("x64", "ia32") if _X86 else ("arm64",)
    return tuple(f"__{abi}_sys_{call}" for abi in abis)


_OLD_GETDENTS = ("__x64_sys_getdents", "__ia32_compat_sys_getdents") if _X86 else ()

PTRACE = (
    ("__arm64_sys_ptrace",)
    if platform.machine() == "aarch64"
    else ("__x64_sys_ptrace", "__ia32_compat_sys_ptrace")
)

PROCESS_LIFE = Choice(
    (
        (
            *_tracepoints(Layer.PROCESS, "sched_process_exit", "task_rename", required=True),
            *_tracepoints(Layer.PROCESS, "cgroup_attach_task", "sched_process_fork"),
        ),
    )
)

EXEC = Choice((_tracepoints(Layer.PROCESS, "sched_process_exec"),))

FD_FUNCTIONS = Choice(
    (
        (
            *(Hook(name, Layer.PROCESS, Point.ENTRY) for name in ("fd_install",)),
            *_returns(Layer.PROCESS, "do_dup2", "__sys_connect", "__scm_send"),
            *_returns(Layer.PROCESS, *PTRACE),
            Hook("fanotify_handle_event", Layer.PROCESS, Point.CALL),
            Hook("alloc_empty_file", Layer.PROCESS, Point.RESULT),
        ),
    )
)

# The first since Linux kernel commit aa384d10f3d0 ("file: Merge __alloc_fd into alloc_fd")
# (in v5.11)
FREE_FD = Choice(
    tuple((Hook(name, Layer.PROCESS, Point.RESULT),) for name in ("alloc_fd", "__alloc_fd"))
)

# The first since 6.6: there a close ends in filp_flush, and only some in filp_close.
FD_CLOSE = Choice(
    tuple((Hook(name, Layer.PROCESS, Point.ENTRY),) for name in ("filp_flush", "filp_close"))
)

# With the request and the completion, or with the request and its result; kernels before 5.19
# do not tell the request.
IO_URING = Hook(
    "io_uring_complete", Layer.FILE, Point.RAW_TRACEPOINT, door=Door.IO_URING, arities=(3, 7)
)
IO_URING_FUNCTIONS = Choice(
    (
        (IO_URING, *_entries(Door.IO_URING, "io_req_post_cqe")),
        _entries(Door.IO_URING, "io_req_complete_post", "io_submit_flush_completions"),
    )
)

SYSTEM_CALLS = Choice(
    ((*_tracepoints(Layer.FILE, "sys_enter", "sys_exit", required=True), IO_URING),)
)

FILE_FUNCTIONS = Choice(
    (
        (
            *_returns(Layer.FILE, "vfs_read", "vfs_write", required=True),
            *_returns(Layer.FILE, "vfs_readv", "vfs_writev", door=Door.VECTORED),
            *_calls(Door.SOCKET_CALL, "__sys_sendto", "__sys_recvfrom"),
            *_returns(Layer.FILE, "___sys_sendmsg", "___sys_recvmsg", door=Door.SOCKET_CALL),
            *_calls(Door.SENDFILE, "do_sendfile"),
            *_calls(Door.SPLICE, "do_splice", *_entry_points("vmsplice")),
            *_returns(Layer.FILE, "do_tee", door=Door.SPLICE),
            *_calls(Door.COPY_FILE_RANGE, *_entry_points("copy_file_range")),
            *_calls(Door.DIRECTORY_CALL, *_entry_points("getdents64"), *_OLD_GETDENTS),
            *_calls(Door.MQUEUE_CALL, "do_mq_timedsend", "do_mq_timedreceive"),
            *_calls(Door.AIO, "aio_read", "aio_write"),
            *_entries(Door.AIO, "aio_complete_rw"),
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
    "unix_seqpacket_recvmsg",
    "sock_common_recvmsg",
    "sock_sendpage",
)

CHOICES: dict[Mode, tuple[Choice, ...]] = {
    Mode.FENTRY: (
        PROCESS_LIFE,
        FD_FUNCTIONS,
        FD_CLOSE,
        FREE_FD,
        FILE_FUNCTIONS,
        IO_URING_FUNCTIONS,
        Choice((SOCKET_TRACEPOINTS, PROTOCOL_OPERATIONS)),
    ),
    Mode.KPROBE: (
        PROCESS_LIFE,
        FD_FUNCTIONS,
        FD_CLOSE,
        FREE_FD,
        FILE_FUNCTIONS,
        IO_URING_FUNCTIONS,
        Choice((SOCKET_TRACEPOINTS, PROTOCOL_OPERATIONS)),
    ),
    Mode.TRACEPOINT: (PROCESS_LIFE, EXEC, SYSTEM_CALLS, Choice((SOCKET_TRACEPOINTS,))),
}


WITHOUT_FUNCTION = () if _X86 else ("cgroup_attach_task", "io_uring_complete")
"""Tracepoints that cannot be hooked by their function (``__traceiter_*``): what defines it also
calls it, and where the kernel has no static calls the compiler puts it inline there."""


def functions(mode: Mode) -> list[str]:
    """All functions that the mode's C text names, in a fixed order."""
    return [
        hook.function
        for choice in CHOICES[mode]
        for candidate in choice.candidates
        for hook in candidate
        if hook.point is not Point.RAW_TRACEPOINT
    ]
