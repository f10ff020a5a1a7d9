# SPDX-License-Identifier: GPL-2.0-only
"""What fdscope does not see, per attach mode, and why: said wherever the numbers are shown."""

from typing import NamedTuple

from probes.taxonomy import Mode


class BlindSpot(NamedTuple):
    """Something that moves bytes without fdscope counting it."""

    what: str
    why: str


_EVERYWHERE = (
    BlindSpot(
        "io_uring at the file layer",
        "its operations make no system call of their own and bypass the functions and calls that"
        " are hooked; this door is not counted yet (what it moves over sockets does show at the"
        " socket layer)",
    ),
    BlindSpot(
        "aio (io_submit) at the file layer",
        "its operations end outside the call that started them; this door is not counted yet",
    ),
    BlindSpot("vmsplice at the file layer", "this part of the door splice is not counted yet"),
    BlindSpot(
        "files mapped into memory (mmap)",
        "a load or store is no operation on the descriptor: the kernel sees page faults at most",
    ),
    BlindSpot(
        "directory listings, ioctl and POSIX message queues",
        "they use system calls of their own, which are not counted as reads and writes",
    ),
    BlindSpot(
        "the kernel's own file I/O (starting programs, loop devices, file servers in the kernel)",
        "no process asked for it through a descriptor",
    ),
    BlindSpot(
        "splice and sendfile from a socket, at the socket layer",
        "the kernel moves the data without calling the receive path that is hooked",
    ),
    BlindSpot(
        "shared-memory sockets (TCP zero-copy receive, packet rings, AF_XDP) at the socket layer",
        "the data reaches the process through a mapping, not through a receive call",
    ),
    BlindSpot(
        "calls that fail on a bad descriptor",
        "without a file there is no fd type to count them under",
    ),
)

_FUNCTIONS = (
    BlindSpot(
        "sendfile, splice, tee and copy_file_range at the file layer",
        "they do not pass the read and write functions that are hooked; these doors are not"
        " counted yet in this mode",
    ),
    BlindSpot(
        "calls that were already waiting when fdscope attached",
        "a call is followed from its entry, which had passed",
    ),
    BlindSpot(
        "at the socket layer of a kernel without the tracepoints sock_send_length and"
        " sock_recv_length: other families than IP, unix, netlink and packet, and sendfile or"
        " splice to a socket",
        "there the hooks are the send and receive operations of just these families, and older"
        " kernels send pages another way",
    ),
)

_KPROBES = (
    BlindSpot(
        "calls beyond 4096 at once of one function",
        "the kernel keeps room for that many returns; it skips the others",
    ),
    BlindSpot(
        "calls during which another probe was running on the same CPU",
        "the kernel does not start a kprobe program inside another one",
    ),
)

_SYSTEM_CALLS = (
    BlindSpot(
        "the socket layer of a kernel without the tracepoints sock_send_length and"
        " sock_recv_length",
        "this mode has nothing else to hang on there; the file layer still counts sockets",
    ),
    BlindSpot(
        "32-bit x86 programs that use socketcall, x32 programs, and 32-bit programs on arm64",
        "their system calls have other numbers, which are not followed",
    ),
)

BLIND_SPOTS: dict[Mode, tuple[BlindSpot, ...]] = {
    Mode.FENTRY: _EVERYWHERE + _FUNCTIONS,
    Mode.KPROBE: _EVERYWHERE + _FUNCTIONS + _KPROBES,
    Mode.TRACEPOINT: _EVERYWHERE + _SYSTEM_CALLS,
}


def for_mode(mode: Mode) -> list[str]:
    """One line a blind spot of the mode: ``what: why``."""
    return [f"{spot.what}: {spot.why}" for spot in BLIND_SPOTS[mode]]
