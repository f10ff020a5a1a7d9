# SPDX-License-Identifier: GPL-2.0-only
"""What fdscope does not count, and why: per attach mode, and on which kernels."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from fdscope.probes.kernel import preemption
from fdscope.probes.kernel.host import Host
from fdscope.probes.schema.taxonomy import Mode

_Condition = Callable[[Host], bool]


@dataclass(frozen=True, slots=True)
class BlindSpot:
    """Something that moves bytes, or opens or closes an fd, without fdscope counting it."""

    what: str
    why: str
    where: tuple[_Condition, ...] = ()
    """Conditions that a host must meet, all of them, for this to be true there."""

    def __str__(self) -> str:
        """One line: ``what: why``."""
        return f"{self.what}: {self.why}"

    def is_on(self, host: Host) -> bool:
        """True if this kernel has the blind spot."""
        return all(condition(host) for condition in self.where)


def _version(host: Host) -> tuple[int, int]:
    """Major and minor version; (0, 0) for a release that does not begin with them."""
    numbers = re.match(r"(\d+)\.(\d+)", host.release)
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)


def _before(major: int, minor: int) -> _Condition:
    return lambda host: _version(host) < (major, minor)


def _since(major: int, minor: int) -> _Condition:
    return lambda host: _version(host) >= (major, minor)


def _on_arm64(host: Host) -> bool:
    return host.machine == "aarch64"


def _on_x86_64(host: Host) -> bool:
    return host.machine == "x86_64"


def _without_socket_tracepoints(host: Host) -> bool:
    """True if the kernel has no symbol of sock_send_length; true too if it shows no symbols.

    Linux kernel commit 6e6eda44b939 ("sock: add tracepoint for send recv length") (in v6.3), and
    kernels of distributions to which it was backported.
    """
    with suppress(OSError):
        return b"sock_send_length" not in (host.proc / "kallsyms").read_bytes()
    return True


_OTHER_NUMBERS = "their system calls have other numbers, which are not followed"

_EVERYWHERE = (
    BlindSpot(
        "io_uring operations whose completion is skipped (IOSQE_CQE_SKIP_SUCCESS) or overflows the"
        " completion queue",
        "the kernel reports no completion of the request; over sockets they show at the socket"
        " layer",
    ),
    BlindSpot(
        "files mapped into memory (mmap)",
        "a load or store is no operation on the descriptor, and page faults do not measure it: one"
        " maps up to 16 pages, pages that are mapped already need none, and minflt and majflt of"
        " /proc/PID/stat do not separate files from anonymous memory; so none are shown",
    ),
    BlindSpot(
        "ioctl and other calls that take a descriptor and move data in their own way",
        "their return value is not a byte count; getdents and POSIX message queues are counted",
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
        "where the peer of an unconnected UDP, ICMP or raw socket is (scope unknown, unless the"
        " socket is bound to the loopback)",
        "such a socket has no peer, each message has one; the hooks of the socket layer get the"
        " socket and the number of bytes, and the kernel keeps no address of a message that is"
        " received without asking for its sender",
    ),
    BlindSpot(
        "that a character device is a terminal, if its driver was loaded after fdscope attached (a"
        " USB serial line)",
        "the terminal drivers are read at start: later ones are counted as fd type character until"
        " the next start",
    ),
)

_PREEMPTED = BlindSpot(
    "where tasks preempt the kernel (preempt=full or lazy, and always since Linux 7.0), calls that"
    " return while another task waits on that CPU in the middle of the same program",
    "the kernel does not start a BPF program inside itself; it counts such misses, and"
    " fdscope_probe_missed_runs_total shows them; under load there are many, so kprobe mode, which"
    " has none, is tried first there",
    (preemption.preempts,),
)

_FD_LIFECYCLE = (
    BlindSpot(
        "tables of descriptors that processes share (CLONE_FILES without CLONE_THREAD) and that"
        " unshare, exec or close_range split again, in the counts of opened and closed fds",
        "which of them opened what is not known; the census shows what each has, and"
        " fdscope_fd_drift what the counts miss",
    ),
    BlindSpot(
        "at fork and exit the descriptors beyond some 230,000 steps through the table (64 free"
        " numbers are one step)",
        "a BPF program may not take longer; fdscope_lost_updates_total counts them (fds_unseen)",
    ),
    BlindSpot(
        "connections that io_uring makes or accepts, and fds that it sends through unix sockets",
        "no system call shows them",
    ),
    BlindSpot(
        "files that io_uring opens, makes or accepts into its own table (direct descriptors), in"
        " the counts of opened, closed and open fds",
        "they are no descriptors of the process; what is read and written through them is counted",
    ),
    BlindSpot(
        "reading another process by process_vm_readv or /proc/PID/mem, as a debugger-like access",
        "only pidfd_getfd and ptrace are counted",
    ),
)

_FENTRY = (
    BlindSpot(
        "before Linux 6.6 the time that accesses wait for a fanotify permission group",
        "fentry took functions of up to 6 arguments, and fanotify_handle_event has 8",
        (_before(6, 6),),
    ),
    BlindSpot(
        "copy_file_range on Linux 5.10",
        "its BTF lacks the argument of that system call, and the kernel refuses the hook",
        (_before(5, 11),),
    ),
)

_FUNCTIONS = (
    BlindSpot(
        "up to Linux 6.11 all but the last completion of a multishot io_uring request",
        "the tracepoint does not show which request completed",
        (_since(5, 19), _before(6, 12)),
    ),
    BlindSpot(
        "calls that fail because nothing is open under the number (EBADF) or it is no socket"
        " (ENOTSOCK), other than send, recv, sendto, recvfrom, connect, sendfile, copy_file_range,"
        " vmsplice, getdents and those of io_uring and message queues",
        "they return before any function that is hooked, and a hook that sees them would cost every"
        " read and write; a file that was opened for the other direction is seen",
    ),
    BlindSpot(
        "how an fd of a 32-bit program on arm64 was opened or closed",
        "its system calls have other numbers, which are not followed: it is counted as other",
        (_on_arm64,),
    ),
    BlindSpot(
        "of the fds that one message passes on, those after the 32nd, in the counts of the sender",
        "a BPF program may not take longer; fdscope_lost_updates_total counts them (fds_unseen)",
    ),
    BlindSpot(
        "that io_uring opened or closed an fd, if the request completes while the process is in"
        " another system call",
        "the fd is counted with the birth or cause of that call, mostly other",
    ),
    BlindSpot(
        "calls that were already waiting when fdscope attached",
        "a call is followed from its entry, which had passed",
    ),
    BlindSpot(
        "at the socket layer of a kernel without the tracepoints sock_send_length and"
        " sock_recv_length: other families than IP, unix, netlink and packet",
        "there the hooks are the send and receive operations of just these families",
        (_without_socket_tracepoints,),
    ),
)

_KPROBES = (
    BlindSpot(
        "before Linux 6.14, calls beyond 4096 at once of one function",
        "the kernel keeps room for that many returns; it skips the others",
        (_before(6, 14),),
    ),
    BlindSpot(
        "before Linux 5.15, the call chains from the doors down to the socket layer (--stacks)",
        "the kernel cannot follow a stack from the return of a function that has a kprobe",
        (_before(5, 15),),
    ),
    BlindSpot(
        "calls on a CPU where a task other than fdscope was interrupted in the middle of reading or"
        " writing a BPF map",
        "the kernel starts no kprobe program meanwhile, and before Linux 6.7 does not count what it"
        " skipped",
    ),
    BlindSpot(
        "on arm64 since Linux 7.0, io_uring requests that complete while another task waits on that"
        " CPU in the middle of the program that counts them",
        "the tracepoint of io_uring has no function to attach to there, and is a raw one;"
        " fdscope_probe_missed_runs_total shows what was missed",
        (_on_arm64, _since(7, 0)),
    ),
)

_SYSTEM_CALLS = (
    BlindSpot(
        "before Linux 5.19 all of io_uring",
        "the tracepoint does not show which request completed",
        (_before(5, 19),),
    ),
    BlindSpot(
        "at exec and close_range the descriptors beyond some 21,000 steps through the table",
        "a BPF program may not take longer; fdscope_lost_updates_total counts them (fds_unseen)",
    ),
    BlindSpot(
        "fds in a message whose receiver has no number free for them",
        "the call succeeds without them",
    ),
    BlindSpot(
        "whether EMFILE means that no fd was free, or that another limit of inotify, fanotify or"
        " message queues was reached",
        "the answer is the same; the other modes count only calls that found no free fd",
    ),
    BlindSpot(
        "the error that ends sendmmsg or recvmmsg after some messages",
        "the call returns the number of messages; an error before the first is counted",
    ),
    BlindSpot(
        "in the counts of opened and closed fds: those that io_uring opens, makes, accepts or"
        " closes (OPENAT, SOCKET, ACCEPT, CLOSE), and those that fanotify's events, socket options"
        " and most ioctls make",
        "no system call returns them; the census has them (fdscope_open_fds), and fdscope_fd_drift"
        " shows how many are missing here",
    ),
    BlindSpot(
        "the time that accesses wait for a fanotify permission group",
        "no tracepoint shows it",
    ),
    BlindSpot(
        "aio whose results the program reads from the ring in its memory instead of by"
        " io_getevents, more than 264 operations or results a call, and what was submitted before"
        " fdscope attached",
        "this mode sees an operation when a system call fetches its result",
    ),
    BlindSpot(
        "splice and tee by io_uring, and multishot requests but for their last completion",
        "they make no system call, and the tracepoint of io_uring does not show both files",
        (_since(5, 19),),
    ),
    BlindSpot(
        "a system call that a seccomp or ptrace supervisor answers in the kernel's place",
        "it is counted as if the kernel had done it",
    ),
    BlindSpot(
        "the socket layer of a kernel without the tracepoints sock_send_length and"
        " sock_recv_length",
        "this mode has nothing else to attach to there; the file layer still counts sockets",
        (_without_socket_tracepoints,),
    ),
    BlindSpot("x32 programs", _OTHER_NUMBERS, (_on_x86_64,)),
    BlindSpot("32-bit programs on arm64", _OTHER_NUMBERS, (_on_arm64,)),
)

BLIND_SPOTS: dict[Mode, tuple[BlindSpot, ...]] = {
    Mode.FENTRY: _EVERYWHERE + _FD_LIFECYCLE + _FUNCTIONS + _FENTRY + (_PREEMPTED,),
    Mode.KPROBE: _EVERYWHERE + _FD_LIFECYCLE + _FUNCTIONS + _KPROBES,
    Mode.TRACEPOINT: _EVERYWHERE + _FD_LIFECYCLE + _SYSTEM_CALLS + (_PREEMPTED,),
}
"""Of every kernel that fdscope supports."""


def of(mode: Mode, host: Host | None = None) -> tuple[BlindSpot, ...]:
    """The blind spots of the mode on this kernel."""
    host = host or Host()
    return tuple(spot for spot in BLIND_SPOTS[mode] if spot.is_on(host))
