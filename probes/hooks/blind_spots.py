# SPDX-License-Identifier: GPL-2.0-only
"""What fdscope does not see, per attach mode, and why: said wherever the numbers are shown."""

from typing import NamedTuple

from fdscope.probes.schema.taxonomy import Mode


class BlindSpot(NamedTuple):
    """Something that moves bytes without fdscope counting it."""

    what: str
    why: str


_EVERYWHERE = (
    BlindSpot(
        "io_uring operations whose completion is skipped (IOSQE_CQE_SKIP_SUCCESS) or overflows the"
        " completion queue",
        "the kernel reports no completion of the request; over sockets they show at the socket"
        " layer",
    ),
    BlindSpot(
        "up to Linux 6.11 all but the last completion of a multishot io_uring request, and in"
        " tracepoint mode before 5.19 all of io_uring",
        "the tracepoint does not tell which request completed",
    ),
    BlindSpot(
        "files mapped into memory (mmap)",
        "a load or store is no operation on the descriptor, and page faults do not measure it: one"
        " maps up to 16 pages, pages that are mapped already need none, and minflt and majflt of"
        " /proc/PID/stat do not tell files from plain memory; so none are shown",
    ),
    BlindSpot(
        "ioctl and other calls that take a descriptor and move data by a way of their own",
        "what they return is no number of bytes; getdents and POSIX message queues are counted",
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
        "such a socket has no peer, each message has; the hooks of the socket layer are given the"
        " socket and the number of bytes, and of a message that is received without asking who"
        " sent it the kernel keeps no address",
    ),
)

_PREEMPTED = BlindSpot(
    "where tasks preempt the kernel (preempt=full or lazy, and always since Linux 7.0), calls that"
    " return while another task waits on that CPU in the middle of the same program",
    "the kernel does not start a BPF program inside itself; it counts such misses, and"
    " fdscope_probe_missed_runs_total shows them; under load they are many, so there kprobe mode,"
    " which has none, is tried first",
)

_FD_LIFE = (
    BlindSpot(
        "tables of descriptors that processes share (CLONE_FILES without CLONE_THREAD) and that"
        " unshare, exec or close_range split again, in the counts of opened and closed fds",
        "who of them opened what cannot be told; the census shows what each has, and"
        " fdscope_fd_drift what the counts miss",
    ),
    BlindSpot(
        "at fork and exit the descriptors beyond some 230,000 steps through the table (64 free"
        " numbers are one step)",
        "a BPF program may not take longer; fdscope_lost_updates_total tells (fds_unseen)",
    ),
    BlindSpot(
        "connections that io_uring makes or accepts, and fds that it sends through unix sockets",
        "no system call tells of them",
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
    ),
    BlindSpot(
        "copy_file_range on Linux 5.10",
        "its BTF does not tell the argument of that system call, and the kernel refuses the hook",
    ),
)

_FUNCTIONS = (
    BlindSpot(
        "calls that fail because nothing is open under the number (EBADF) or it is no socket"
        " (ENOTSOCK), other than send, recv, sendto, recvfrom, connect, sendfile, copy_file_range,"
        " vmsplice, getdents and those of io_uring and message queues",
        "they end before any function that is hooked, and a hook that sees them would cost every"
        " read and write; a file that was opened for the other direction is seen",
    ),
    BlindSpot(
        "how an fd of a 32-bit program on arm64 was opened or closed",
        "its system calls have other numbers, which are not followed: it is counted as other",
    ),
    BlindSpot(
        "of the fds that one message passes on, those after the 32nd, in the counts of the sender",
        "a BPF program may not take longer; fdscope_lost_updates_total tells (fds_unseen)",
    ),
    BlindSpot(
        "that an fd was born by io_uring, or ended by it, if the request completes while the"
        " process is in another system call",
        "the fd is counted, and its birth or cause is what that call stands for, mostly other",
    ),
    BlindSpot(
        "calls that were already waiting when fdscope attached",
        "a call is followed from its entry, which had passed",
    ),
    BlindSpot(
        "at the socket layer of a kernel without the tracepoints sock_send_length and"
        " sock_recv_length: other families than IP, unix, netlink and packet",
        "there the hooks are the send and receive operations of just these families",
    ),
)

_KPROBES = (
    BlindSpot(
        "before Linux 6.14, calls beyond 4096 at once of one function",
        "the kernel keeps room for that many returns; it skips the others",
    ),
    BlindSpot(
        "before Linux 5.15, the call chains from the doors down to the socket layer (--stacks)",
        "the kernel cannot follow a stack from the return of a function on which a kprobe hangs",
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
        "there the tracepoint of io_uring has no function to hang on, and is a raw one;"
        " fdscope_probe_missed_runs_total shows what was missed",
    ),
)

_SYSTEM_CALLS = (
    BlindSpot(
        "at exec and close_range the descriptors beyond some 21,000 steps through the table",
        "a BPF program may not take longer; fdscope_lost_updates_total tells (fds_unseen)",
    ),
    BlindSpot(
        "fds in a message whose receiver has no number free for them",
        "the call succeeds without them",
    ),
    BlindSpot(
        "whether EMFILE is for want of an fd or of something else that inotify, fanotify and"
        " message queues have a limit on",
        "the answer is the same; the other modes count the want of an fd only",
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
        "no tracepoint tells of it",
    ),
    BlindSpot(
        "aio whose results the program reads from the ring in its memory instead of by"
        " io_getevents, more than 264 operations or results a call, and what was submitted before"
        " fdscope attached",
        "this mode learns of an operation when its result is fetched by a system call",
    ),
    BlindSpot(
        "splice and tee by io_uring, and multishot requests but for their last completion",
        "they make no system call, and the tracepoint of io_uring does not tell both files",
    ),
    BlindSpot(
        "a system call that a seccomp or ptrace supervisor answers in the kernel's place",
        "it is counted as if the kernel had done it",
    ),
    BlindSpot(
        "the socket layer of a kernel without the tracepoints sock_send_length and"
        " sock_recv_length",
        "this mode has nothing else to hang on there; the file layer still counts sockets",
    ),
    BlindSpot(
        "x32 programs, and 32-bit programs on arm64",
        "their system calls have other numbers, which are not followed",
    ),
)

BLIND_SPOTS: dict[Mode, tuple[BlindSpot, ...]] = {
    Mode.FENTRY: _EVERYWHERE + _FD_LIFE + _FUNCTIONS + _FENTRY + (_PREEMPTED,),
    Mode.KPROBE: _EVERYWHERE + _FD_LIFE + _FUNCTIONS + _KPROBES,
    Mode.TRACEPOINT: _EVERYWHERE + _FD_LIFE + _SYSTEM_CALLS + (_PREEMPTED,),
}


def for_mode(mode: Mode) -> list[str]:
    """One line a blind spot of the mode: ``what: why``."""
    return [f"{spot.what}: {spot.why}" for spot in BLIND_SPOTS[mode]]
