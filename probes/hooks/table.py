# SPDX-License-Identifier: GPL-2.0-only
"""The hooks: every kernel function and tracepoint, its layer and its attach modes."""

import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from fdscope.probes.schema.taxonomy import Door, Layer, Mode


class Point(Enum):
    """Where in the kernel a program is attached."""

    RETURN = "return"
    """The return of a function: a program of ``ON_RETURN`` in C."""
    RESULT = "result"
    """The return alone, in kprobe mode too: ``ON_RESULT``."""
    CALL = "call"
    """Its entry as well: ``ON_CALL`` and ``ON_FD_RETURN``."""
    ENTRY = "entry"
    """Only its entry: ``ON_ENTRY``."""
    RAW_TRACEPOINT = "raw_tracepoint"


FUNCTIONS = (Mode.FENTRY, Mode.KPROBE)
TRACEPOINTS = (Mode.TRACEPOINT,)


@dataclass(frozen=True, slots=True)
class Hook:
    """A kernel function or tracepoint to which fdscope can attach a program."""

    function: str
    layer: Layer
    point: Point
    modes: tuple[Mode, ...]
    """The attach modes that have it."""
    door: Door | None = None
    """The door that is blind if none of its hooks is attached."""
    required: bool = False
    """Without it the attach mode cannot be used; other hooks are reported and left out."""
    arities: tuple[int, ...] = ()
    """Numbers of arguments that the program of a raw tracepoint understands; any if empty."""
    alternative_to: tuple[str, ...] = ()
    """Functions and tracepoints that show the same: the hook is used if the kernel has none."""
    runs: str = ""
    """The function whose program it runs; "" for its own."""

    @property
    def program(self) -> str:
        """What its programs are named after."""
        return self.runs or self.function


_X86 = platform.machine() != "aarch64"


def _entry_points(call: str, compat: str = "ia32") -> tuple[str, ...]:
    """Functions of a system call that calls no other one; on x86 32-bit programs have their own."""
    abis = ("x64", compat) if _X86 else ("arm64",)
    return tuple(f"__{abi}_sys_{call}" for abi in abis)


def _hooks(
    layer: Layer,
    point: Point,
    functions: Iterable[str],
    modes: tuple[Mode, ...] = FUNCTIONS,
    door: Door | None = None,
    required: bool = False,
    arities: tuple[int, ...] = (),
    alternative_to: tuple[str, ...] = (),
    runs: str = "",
) -> tuple[Hook, ...]:
    """Hooks that differ in their function only."""
    return tuple(
        Hook(function, layer, point, modes, door, required, arities, alternative_to, runs)
        for function in functions
    )


def _of_one_program(
    layer: Layer, point: Point, functions: tuple[str, ...], door: Door | None = None
) -> tuple[Hook, ...]:
    """Hooks of functions that do the same, none inside another: the first one's program is run."""
    return _hooks(layer, point, functions[:1], door=door) + _hooks(
        layer, point, functions[1:], door=door, runs=functions[0]
    )


_GETDENTS = ("__x64_sys_getdents", "__ia32_compat_sys_getdents") if _X86 else ()
SOCKET_TRACEPOINTS = ("sock_send_length", "sock_recv_length")
_IO_URING = ("io_uring_complete", "io_req_post_cqe")
_PROTOCOLS = (
    *(
        f"{family}_{operation}"
        for operation in ("sendmsg", "recvmsg")
        for family in ("inet", "inet6", "unix_stream", "unix_dgram", "netlink", "packet")
    ),
    *("unix_seqpacket_recvmsg", "sock_common_recvmsg", "sock_sendpage"),
)

# fmt: off
HOOKS = (
    # Processes.
    *_hooks(Layer.PROCESS, Point.RAW_TRACEPOINT, ("sched_process_exit", "task_rename"),
            tuple(Mode), required=True),
    *_hooks(Layer.PROCESS, Point.RAW_TRACEPOINT, ("cgroup_attach_task", "sched_process_fork"),
            tuple(Mode)),
    *_hooks(Layer.PROCESS, Point.RAW_TRACEPOINT, ("sched_process_exec",), tuple(Mode)),
    # Descriptors.
    *_hooks(Layer.PROCESS, Point.ENTRY, ("fd_install",)),
    *_hooks(Layer.PROCESS, Point.RETURN, ("do_dup2", "__sys_connect", "__scm_send")),
    *_of_one_program(Layer.PROCESS, Point.RETURN, _entry_points("ptrace", "ia32_compat")),
    *_hooks(Layer.PROCESS, Point.CALL, ("fanotify_handle_event",)),
    *_hooks(Layer.PROCESS, Point.RESULT, ("alloc_empty_file",)),
    # A close calls filp_flush(), and only some closes call filp_close(), since
    # Linux kernel commit 021a160abf62 ("fs: use __fput_sync in close(2)") (in v6.6)
    *_hooks(Layer.PROCESS, Point.ENTRY, ("filp_flush",)),
    *_hooks(Layer.PROCESS, Point.ENTRY, ("filp_close",), alternative_to=("filp_flush",)),
    # Linux kernel commit aa384d10f3d0 ("file: Merge __alloc_fd into alloc_fd") (in v5.11)
    *_hooks(Layer.PROCESS, Point.RESULT, ("alloc_fd",)),
    *_hooks(Layer.PROCESS, Point.RESULT, ("__alloc_fd",), alternative_to=("alloc_fd",)),
    # The file layer.
    *_hooks(Layer.FILE, Point.RETURN, ("vfs_read", "vfs_write"), required=True),
    *_hooks(Layer.FILE, Point.RETURN, ("vfs_readv", "vfs_writev"), door=Door.VECTORED),
    *_hooks(Layer.FILE, Point.CALL, ("__sys_sendto", "__sys_recvfrom"), door=Door.SOCKET_CALL),
    *_hooks(Layer.FILE, Point.RETURN, ("___sys_sendmsg", "___sys_recvmsg"),
            door=Door.SOCKET_CALL),
    *_hooks(Layer.FILE, Point.CALL, ("do_sendfile",), door=Door.SENDFILE),
    *_hooks(Layer.FILE, Point.CALL, ("do_splice",), door=Door.SPLICE),
    *_of_one_program(Layer.FILE, Point.CALL, _entry_points("vmsplice"), Door.SPLICE),
    *_hooks(Layer.FILE, Point.RETURN, ("do_tee",), door=Door.SPLICE),
    *_of_one_program(Layer.FILE, Point.CALL, _entry_points("copy_file_range"),
                     Door.COPY_FILE_RANGE),
    *_of_one_program(Layer.FILE, Point.CALL, (*_entry_points("getdents64"), *_GETDENTS),
                     Door.DIRECTORY_CALL),
    *_hooks(Layer.FILE, Point.CALL, ("do_mq_timedsend", "do_mq_timedreceive"),
            door=Door.MQUEUE_CALL),
    *_hooks(Layer.FILE, Point.CALL, ("aio_read", "aio_write"), door=Door.AIO),
    *_hooks(Layer.FILE, Point.ENTRY, ("aio_complete_rw",), door=Door.AIO),
    *_hooks(Layer.FILE, Point.RAW_TRACEPOINT, ("sys_enter", "sys_exit"), TRACEPOINTS,
            required=True),
    # With the request and its result (7 arguments), or with the completion (3), since
    # Linux kernel commit c4bb964fa092
    # ("io_uring: add tracing for additional CQE32 fields") (in v5.19)
    *_hooks(Layer.FILE, Point.RAW_TRACEPOINT, ("io_uring_complete",), tuple(Mode),
            Door.IO_URING, arities=(3, 7)),
    *_hooks(Layer.FILE, Point.ENTRY, ("io_req_post_cqe",), door=Door.IO_URING),
    *_hooks(Layer.FILE, Point.ENTRY, ("io_req_complete_post", "io_submit_flush_completions"),
            door=Door.IO_URING, alternative_to=_IO_URING),
    # The socket layer.
    *_hooks(Layer.SOCKET, Point.RAW_TRACEPOINT, SOCKET_TRACEPOINTS, tuple(Mode)),
    *_hooks(Layer.SOCKET, Point.RETURN, _PROTOCOLS, alternative_to=SOCKET_TRACEPOINTS),
)
# fmt: on


WITHOUT_FUNCTION = () if _X86 else ("cgroup_attach_task", "io_uring_complete")
"""Tracepoints that cannot be hooked by their function (``__traceiter_*``): what defines it also
calls it, and where the kernel has no static calls the compiler puts it inline there."""


def of_mode(mode: Mode) -> list[Hook]:
    """All hooks of an attach mode, alternatives among them, in the order of the table."""
    return [hook for hook in HOOKS if mode in hook.modes]


def functions(mode: Mode) -> list[str]:
    """All functions that the mode hooks, in the order of the table."""
    return [hook.function for hook in of_mode(mode) if hook.point is not Point.RAW_TRACEPOINT]


def programs(mode: Mode) -> list[str]:
    """Those of them that have a program of their own: the mode's C text names these."""
    return [hook.function for hook in of_mode(mode)
            if hook.point is not Point.RAW_TRACEPOINT and not hook.runs]  # fmt: skip


def chosen(mode: Mode, has: Callable[[Hook], bool]) -> list[Hook]:
    """The hooks to attach on a kernel that ``has`` some of them.

    Alternatives replace what they are alternatives to where the kernel has none of that and any of
    them. What the kernel has neither of is chosen as well: attaching it says so.
    """
    hooks = of_mode(mode)
    there = {hook.function for hook in hooks if has(hook)}
    left_out: set[str] = set()
    for usual in {hook.alternative_to for hook in hooks if hook.alternative_to}:
        others = {hook.function for hook in hooks if hook.alternative_to == usual}
        left_out |= set(usual) if there & others and not there & set(usual) else others
    return [hook for hook in hooks if hook.function not in left_out]
