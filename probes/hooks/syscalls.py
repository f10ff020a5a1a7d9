# SPDX-License-Identifier: GPL-2.0-only
"""System calls: their numbers, and what those that are followed do with descriptors.

Numbers: arch/x86/entry/syscalls/syscall_{64,32}.tbl and
include/uapi/asm-generic/unistd.h of the kernel; they never change.
"""

import platform
from dataclasses import dataclass, replace
from enum import IntEnum

from fdscope.probes.schema.taxonomy import Account, Birth, Cause, Door

NO_ARGUMENT = 0xFF
COMPAT_SLOTS = 512
"""Numbers of 32-bit programs start here in the ``syscalls`` map."""
SOCKETCALL_SLOTS = 2 * COMPAT_SLOTS
"""And here those of socketcall, of which there are fewer than 32."""
SLOTS = SOCKETCALL_SLOTS + 32


class TailCall(IntEnum):
    """Programs that others call, by their place in the map ``tail_calls``."""

    WALK_FDS = 0
    COUNT_FDS = 1
    MESSAGES = 2
    AIO_EVENTS = 3
    FD_MADE = 4
    FDS_IN_MEMORY = 5
    FD_ENDED = 6
    CLOSE_RANGE = 7
    EXEC = 8
    CONNECTED = 9
    DEBUGGED = 10
    CONTROL = 11
    AIO_SUBMISSIONS = 12
    TWO_FDS = 13
    RECEIVED = 14


WALKS = (TailCall.WALK_FDS, TailCall.COUNT_FDS)
"""In all modes, where the kernel has no loops of any length."""


class When(IntEnum):
    """How to find out whether a call made a descriptor, or where it wrote those it made."""

    ALWAYS = 0
    DUPFD = 1
    NEW_SIGNALFD = 2
    BPF_COMMAND = 3
    LISTENER = 4
    FOURTH_ARGUMENT = 5
    CLONE_PIDFD = 6
    CLONE3_PIDFD = 7
    IN_MESSAGE = 8
    IOCTL = 9
    THIRD_IS_ZERO = 10
    RING_HAS_FD = 11


@dataclass(frozen=True, slots=True)
class Syscall:
    """Which arguments (counted from 0) of a system call are descriptors, and what it does."""

    door: Door = Door.READ_WRITE
    """Used only if a descriptor is read from or written to."""
    read: int | None = None
    """The descriptor that is read from."""
    write: int | None = None
    """The descriptor that is written to."""
    flags: int | None = None
    """The MSG_* flags of a receiving call."""
    bytes: int | None = None
    """The number of bytes, of a call that does not return it."""
    tail_call: TailCall | None = None
    """The program that is called at the return, if the result is ``least`` or more."""
    least: int = 0
    one_way: bool = False
    """The descriptor is read from or written to, as its file was opened."""
    reads_as: Account = Account.FILE_READ
    birth: Birth = Birth.OTHER
    when: When = When.ALWAYS
    ends: int | None = None
    """The descriptor that is closed: its type must be found on entry."""
    on_entry: TailCall | None = None
    """The program that is called at the entry."""

    def record(self) -> tuple[int, ...]:
        """The values of the record ``syscall``, in its order."""
        *arguments, ends, on_entry = (
            NO_ARGUMENT if argument is None else argument
            for argument in (
                self.read, self.write, self.flags, self.bytes, self.tail_call, self.ends,
                self.on_entry,
            )
        )  # fmt: skip
        return (
            self.least, self.birth, 1, self.door, self.reads_as, *arguments, self.one_way,
            self.when, ends, on_entry,
        )  # fmt: skip


_ANY = -4096
"""Any result, an error too."""

_READ = Syscall(Door.READ_WRITE, read=0)
_WRITE = Syscall(Door.READ_WRITE, write=0)
_READV = Syscall(Door.VECTORED, read=0)
_WRITEV = Syscall(Door.VECTORED, write=0)
_SEND = Syscall(Door.SOCKET_CALL, write=0)
_RECVFROM = Syscall(Door.SOCKET_CALL, read=0, flags=3)
_SENDFILE = Syscall(Door.SENDFILE, read=1, write=0, tail_call=TailCall.TWO_FDS, least=_ANY)
_SPLICE = Syscall(Door.SPLICE, read=0, write=2, tail_call=TailCall.TWO_FDS, least=_ANY)
_GETDENTS = Syscall(Door.DIRECTORY_CALL, read=0)
_MQ_SEND = Syscall(Door.MQUEUE_CALL, write=0, bytes=2)
_MQ_RECEIVE = Syscall(Door.MQUEUE_CALL, read=0)
_AIO = Syscall(Door.AIO, tail_call=TailCall.AIO_EVENTS, least=1)
_MESSAGES = Syscall(Door.SOCKET_CALL, tail_call=TailCall.MESSAGES)
_RECVMMSG = replace(_MESSAGES, read=0, flags=3)

TRANSFERS = (Door.SENDFILE, Door.SPLICE)
"""Doors of calls that may take long, with a part of their bytes moved."""

SYSCALLS: dict[str, Syscall] = {
    "read": _READ,
    "pread64": _READ,
    "write": _WRITE,
    "pwrite64": _WRITE,
    "readv": _READV,
    "preadv": _READV,
    "preadv2": _READV,
    "writev": _WRITEV,
    "pwritev": _WRITEV,
    "pwritev2": _WRITEV,
    "send": _SEND,
    "sendto": _SEND,
    "sendmsg": replace(_SEND, when=When.IN_MESSAGE),
    "sendmmsg": replace(_MESSAGES, write=0),
    "recv": _RECVFROM,
    "recvfrom": _RECVFROM,
    "recvmsg": Syscall(Door.SOCKET_CALL, read=0, flags=2, when=When.IN_MESSAGE),
    "recvmmsg": _RECVMMSG,
    "recvmmsg_time64": _RECVMMSG,
    "sendfile": _SENDFILE,
    "sendfile64": _SENDFILE,
    "splice": _SPLICE,
    "tee": replace(_SPLICE, write=1, reads_as=Account.FILE_DUPLICATE),
    "vmsplice": Syscall(Door.SPLICE, read=0, write=0, one_way=True),
    "io_submit": Syscall(on_entry=TailCall.AIO_SUBMISSIONS),
    "io_getevents": _AIO,
    "io_pgetevents": _AIO,
    "copy_file_range": replace(_SPLICE, door=Door.COPY_FILE_RANGE),
    "getdents": _GETDENTS,
    "getdents64": _GETDENTS,
    "mq_timedsend": _MQ_SEND,
    "mq_timedsend_time64": _MQ_SEND,
    "mq_timedreceive": _MQ_RECEIVE,
    "mq_timedreceive_time64": _MQ_RECEIVE,
}

# Since Linux 5.0 all architectures give new calls the same number.
_COMMON = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428,
    "fsopen": 430, "fsmount": 432, "fspick": 433, "pidfd_open": 434, "clone3": 435,
    "close_range": 436, "openat2": 437, "pidfd_getfd": 438, "landlock_create_ruleset": 444,
    "memfd_secret": 447, "open_tree_attr": 467,
}  # fmt: skip

NUMBERS: dict[str, dict[str, int]] = {
    "x86_64": {
        **_COMMON,
        "read": 0, "write": 1, "open": 2, "close": 3, "ioctl": 16, "pread64": 17, "pwrite64": 18,
        "readv": 19, "writev": 20, "pipe": 22, "dup": 32, "dup2": 33, "sendfile": 40, "socket": 41,
        "connect": 42, "accept": 43, "sendto": 44, "recvfrom": 45, "sendmsg": 46, "recvmsg": 47,
        "socketpair": 53, "clone": 56, "execve": 59, "fcntl": 72, "getdents": 78, "creat": 85,
        "ptrace": 101, "io_setup": 206, "io_destroy": 207, "io_getevents": 208, "io_submit": 209,
        "epoll_create": 213, "getdents64": 217, "mq_open": 240, "mq_unlink": 241,
        "mq_timedsend": 242, "mq_timedreceive": 243, "inotify_init": 253, "openat": 257,
        "splice": 275, "tee": 276, "vmsplice": 278, "signalfd": 282, "timerfd_create": 283,
        "eventfd": 284, "accept4": 288, "signalfd4": 289, "eventfd2": 290, "epoll_create1": 291,
        "dup3": 292, "pipe2": 293, "inotify_init1": 294, "preadv": 295, "pwritev": 296,
        "perf_event_open": 298, "recvmmsg": 299, "fanotify_init": 300, "open_by_handle_at": 304,
        "sendmmsg": 307, "seccomp": 317, "memfd_create": 319, "bpf": 321, "execveat": 322,
        "userfaultfd": 323, "copy_file_range": 326, "preadv2": 327, "pwritev2": 328,
        "io_pgetevents": 333,
    },
    "i386": {
        **_COMMON,
        "read": 3, "write": 4, "open": 5, "close": 6, "creat": 8, "execve": 11, "ptrace": 26,
        "dup": 41, "pipe": 42, "ioctl": 54, "fcntl": 55, "dup2": 63, "clone": 120, "getdents": 141,
        "readv": 145, "writev": 146, "pread64": 180, "pwrite64": 181, "sendfile": 187,
        "getdents64": 220, "fcntl64": 221, "sendfile64": 239, "io_getevents": 247, "io_submit": 248,
        "epoll_create": 254, "mq_open": 277, "mq_timedsend": 279, "mq_timedreceive": 280,
        "inotify_init": 291, "openat": 295, "splice": 313, "tee": 315, "vmsplice": 316,
        "signalfd": 321, "timerfd_create": 322, "eventfd": 323, "signalfd4": 327, "eventfd2": 328,
        "epoll_create1": 329, "dup3": 330, "pipe2": 331, "inotify_init1": 332, "preadv": 333,
        "pwritev": 334, "perf_event_open": 336, "recvmmsg": 337, "fanotify_init": 338,
        "open_by_handle_at": 342, "sendmmsg": 345, "seccomp": 354, "memfd_create": 356, "bpf": 357,
        "execveat": 358, "socket": 359, "socketpair": 360, "connect": 362, "accept4": 364,
        "sendto": 369, "sendmsg": 370, "recvfrom": 371, "recvmsg": 372, "userfaultfd": 374,
        "copy_file_range": 377, "preadv2": 378, "pwritev2": 379, "io_pgetevents": 385,
        "recvmmsg_time64": 417, "mq_timedsend_time64": 418, "mq_timedreceive_time64": 419,
    },
    "aarch64": {
        **_COMMON,
        "io_setup": 0, "io_destroy": 1, "io_submit": 2, "io_getevents": 4, "eventfd2": 19,
        "epoll_create1": 20, "dup": 23, "dup3": 24, "fcntl": 25, "inotify_init1": 26, "ioctl": 29,
        "openat": 56, "close": 57, "pipe2": 59, "getdents64": 61, "read": 63, "write": 64,
        "readv": 65, "writev": 66, "pread64": 67, "pwrite64": 68, "preadv": 69, "pwritev": 70,
        "sendfile": 71, "signalfd4": 74, "vmsplice": 75, "splice": 76, "tee": 77,
        "timerfd_create": 85, "ptrace": 117, "mq_open": 180, "mq_unlink": 181, "mq_timedsend": 182,
        "mq_timedreceive": 183, "socket": 198, "socketpair": 199, "accept": 202, "connect": 203,
        "sendto": 206, "recvfrom": 207, "sendmsg": 211, "recvmsg": 212, "clone": 220, "execve": 221,
        "perf_event_open": 241, "accept4": 242, "recvmmsg": 243, "fanotify_init": 262,
        "open_by_handle_at": 265, "sendmmsg": 269, "seccomp": 277, "memfd_create": 279, "bpf": 280,
        "execveat": 281, "userfaultfd": 282, "copy_file_range": 285, "preadv2": 286,
        "pwritev2": 287, "io_pgetevents": 292,
    },
}  # fmt: skip
"""Numbers of the calls that are followed, and of those that fdscope makes itself."""

COMPAT = {"x86_64": "i386"}

SOCKETCALL_NUMBER = 102
"""socketcall(2) of i386, whose first argument says which of these it is."""
# include/uapi/linux/net.h
SOCKETCALLS = {
    "socket": 1, "connect": 3, "accept": 5, "socketpair": 8, "send": 9, "recv": 10, "sendto": 11,
    "recvfrom": 12, "sendmsg": 16, "recvmsg": 17, "accept4": 18, "recvmmsg": 19, "sendmmsg": 20,
}  # fmt: skip


# The system calls that open, close and pass descriptors.

_OPEN = Syscall(tail_call=TailCall.FD_MADE, birth=Birth.OPEN)
_ANONYMOUS = replace(_OPEN, birth=Birth.ANONYMOUS)
_ACCEPT = replace(_OPEN, birth=Birth.ACCEPT)
_PIPE = Syscall(tail_call=TailCall.FDS_IN_MEMORY, birth=Birth.PIPE)
_CLONE = Syscall(tail_call=TailCall.FDS_IN_MEMORY, birth=Birth.ANONYMOUS, least=1)
_SIGNALFD = replace(_ANONYMOUS, when=When.NEW_SIGNALFD)
_FCNTL = replace(_OPEN, birth=Birth.DUP, when=When.DUPFD)
_DUP2 = Syscall(tail_call=TailCall.FD_ENDED, birth=Birth.DUP, ends=1, least=_ANY)
_EXEC = Syscall(on_entry=TailCall.EXEC)

FD_CALLS: dict[str, Syscall] = {
    **dict.fromkeys(
        (
            "open", "creat", "openat", "openat2", "open_by_handle_at", "open_tree",
            "open_tree_attr", "fsopen", "fspick", "fsmount", "mq_open",
        ),
        _OPEN,
    ),
    "socket": replace(_OPEN, birth=Birth.SOCKET),
    "socketpair": replace(_PIPE, birth=Birth.SOCKET, when=When.FOURTH_ARGUMENT),
    "accept": _ACCEPT,
    "accept4": _ACCEPT,
    "pipe": _PIPE,
    "pipe2": _PIPE,
    "dup": replace(_OPEN, birth=Birth.DUP),
    "dup2": _DUP2,
    "dup3": _DUP2,
    "fcntl": _FCNTL,
    "fcntl64": _FCNTL,
    **dict.fromkeys(
        (
            "eventfd", "eventfd2", "epoll_create", "epoll_create1", "timerfd_create",
            "inotify_init", "inotify_init1", "fanotify_init", "memfd_create", "memfd_secret",
            "pidfd_open", "userfaultfd", "perf_event_open",
        ),
        _ANONYMOUS,
    ),
    "io_uring_setup": replace(_ANONYMOUS, when=When.RING_HAS_FD),
    "landlock_create_ruleset": replace(_ANONYMOUS, when=When.THIRD_IS_ZERO),
    "signalfd": _SIGNALFD,
    "signalfd4": _SIGNALFD,
    "bpf": replace(_ANONYMOUS, when=When.BPF_COMMAND),
    "seccomp": replace(_ANONYMOUS, when=When.LISTENER),
    "clone": replace(_CLONE, when=When.CLONE_PIDFD),
    "clone3": replace(_CLONE, when=When.CLONE3_PIDFD),
    "pidfd_getfd": replace(_OPEN, birth=Birth.PIDFD_GETFD),
    "ioctl": replace(_OPEN, birth=Birth.IOCTL, when=When.IOCTL),
    "close": Syscall(tail_call=TailCall.FD_ENDED, ends=0, least=_ANY),
    "close_range": Syscall(on_entry=TailCall.CLOSE_RANGE),
    "execve": _EXEC,
    "execveat": _EXEC,
    "connect": Syscall(tail_call=TailCall.CONNECTED, least=_ANY),
    "ptrace": Syscall(tail_call=TailCall.DEBUGGED),
}  # fmt: skip

BPF_COMMANDS = (0, 5, 7, 13, 14, 17, 18, 19, 28, 30, 32, 33, 36)
"""include/uapi/linux/bpf.h: MAP_CREATE, PROG_LOAD, OBJ_GET, PROG_GET_FD_BY_ID, MAP_GET_FD_BY_ID,
RAW_TRACEPOINT_OPEN, BTF_LOAD, BTF_GET_FD_BY_ID, LINK_CREATE, LINK_GET_FD_BY_ID, ENABLE_STATS,
ITER_CREATE, TOKEN_CREATE."""
IOCTLS = (0x5441, 0xAE01, 0xAE41, 0xB701, 0xB702)
"""Requests that answer with a descriptor: TIOCGPTPEER (openpty), KVM_CREATE_VM, KVM_CREATE_VCPU,
NS_GET_USERNS, NS_GET_PARENT."""

# What a call in flight means for a descriptor that is opened or closed, besides FD_CALLS.
_RECEIVING = ("recvmsg", "recvmmsg", "recvmmsg_time64")
_SOCKETCALL_BIRTHS = {
    "socket": Birth.SOCKET,
    "socketpair": Birth.SOCKET,
    "accept": Birth.ACCEPT,
    "accept4": Birth.ACCEPT,
    "recvmsg": Birth.SCM_RIGHTS,
    "recvmmsg": Birth.SCM_RIGHTS,
}
_CAUSES = {
    "close": Cause.CLOSE,
    "close_range": Cause.CLOSE,
    "dup2": Cause.REPLACED,
    "dup3": Cause.REPLACED,
    "execve": Cause.EXEC,
    "execveat": Cause.EXEC,
    "io_uring_enter": Cause.IO_URING,
}


def number(name: str) -> int:
    """The number of a system call on this machine; KeyError if it is not known."""
    return NUMBERS[platform.machine()][name]


def table(machine: str) -> dict[int, Syscall]:
    """Slot of the ``syscalls`` map to call, for ``uname -m``; KeyError if it is not supported."""
    slots = _followed(machine)
    if machine in COMPAT:
        compat = _followed(COMPAT[machine])
        slots |= {COMPAT_SLOTS + number: call for number, call in compat.items()}
        calls = SYSCALLS | FD_CALLS
        slots |= {SOCKETCALL_SLOTS + number: calls[name] for name, number in SOCKETCALLS.items()}
    return slots


def _followed(machine: str) -> dict[int, Syscall]:
    calls = SYSCALLS | FD_CALLS
    return {number: calls[name] for name, number in NUMBERS[machine].items() if name in calls}


class Followed(IntEnum):
    """From where on a system call is followed; 0 for those that are not."""

    AT_RETURN = 1
    FROM_ENTRY = 2
    """Those that close descriptors, or may take long with a part of their bytes moved."""


def followed(machine: str) -> dict[int, Followed]:
    """How calls are followed, by number, those of 32-bit programs under the same numbers."""
    found = {SOCKETCALL_NUMBER: Followed.AT_RETURN} if machine in COMPAT else {}
    for slot, call in table(machine).items():
        if slot < SOCKETCALL_SLOTS:
            number = slot % COMPAT_SLOTS
            from_entry = call.ends is not None or call.on_entry is not None
            how = (
                Followed.FROM_ENTRY if from_entry or call.door in TRANSFERS else Followed.AT_RETURN
            )
            found[number] = max(how, found.get(number, how))
    return found


def meanings(machine: str) -> dict[int, tuple[Birth, Cause]]:
    """Slot of the ``fd_calls`` map to what the call means for descriptors."""
    slots = _meanings(machine)
    if machine in COMPAT:
        compat = _meanings(COMPAT[machine])
        slots |= {COMPAT_SLOTS + number: meaning for number, meaning in compat.items()}
        slots |= {
            SOCKETCALL_SLOTS + number: (_SOCKETCALL_BIRTHS.get(name, Birth.OTHER), Cause.OTHER)
            for name, number in SOCKETCALLS.items()
        }
    return slots


def _meanings(machine: str) -> dict[int, tuple[Birth, Cause]]:
    births = {name: call.birth for name, call in FD_CALLS.items()}
    births |= dict.fromkeys(_RECEIVING, Birth.SCM_RIGHTS)
    births["io_uring_enter"] = Birth.IO_URING
    return {
        number: (births[name], _CAUSES.get(name, Cause.OTHER))
        for name, number in NUMBERS[machine].items()
        if name in births
    }
