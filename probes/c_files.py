# SPDX-License-Identifier: GPL-2.0-only
"""The C files in ``probes/bpf`` that an attach mode is compiled from, in their order."""

from probes.taxonomy import Mode

_FUNCTIONS = (
    "returns.c",
    "fd_functions.c",
    "fanotify.c",
    "vfs.c",
    "socket_call.c",
    "splice.c",
    "own_calls.c",
    "io_uring.c",
    "aio.c",
    "protocols.c",
)

OF_MODE: dict[Mode, tuple[str, ...]] = {
    Mode.FENTRY: _FUNCTIONS,
    Mode.KPROBE: _FUNCTIONS,
    Mode.TRACEPOINT: (
        "fd_passing.c",
        "syscalls.c",
        "syscall_aio.c",
        "fd_calls.c",
        "fd_endings.c",
        "io_uring.c",
    ),
}
"""Those of each mode, after the common ones."""

COMMON = (
    "tracepoints.c",
    "scratch.c",
    "account.c",
    "cgroups.c",
    "fd_life.c",
    "transfers.c",
    "pending.c",
    "fd_walk.c",
    "fd_tables.c",
    "census.c",
    "process.c",
    "stacks.c",
    "socket.c",
)
