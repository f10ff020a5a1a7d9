# SPDX-License-Identifier: GPL-2.0-only
"""The system calls of the file layer, for tracepoint mode: their numbers and their descriptors.

Numbers: arch/x86/entry/syscalls/syscall_{64,32}.tbl and
include/uapi/asm-generic/unistd.h of the kernel; they never change.
"""

from dataclasses import dataclass, replace
from enum import IntEnum

from probes.taxonomy import Account, Birth, Door

NO_ARGUMENT = 0xFF
COMPAT_SLOTS = 512
"""Numbers of 32-bit programs start here in the ``syscalls`` map."""
SOCKETCALL_SLOTS = 2 * COMPAT_SLOTS
"""And here those of socketcall, of which there are fewer than 32."""
SLOTS = SOCKETCALL_SLOTS + 32


class TailCall(IntEnum):
    """Programs that others go on in, by their place in the map."""

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


IN_ALL_MODES = (TailCall.WALK_FDS, TailCall.COUNT_FDS)


class When(IntEnum):
    """How to tell whether a call made a descriptor, or where it wrote those it made."""

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
    """Matters only if a descriptor is read from or written to."""
    read: int | None = None
    """The descriptor that is read from."""
    write: int | None = None
    """The descriptor that is written to."""
    flags: int | None = None
    """The MSG_* flags of a receiving call."""
    bytes: int | None = None
    """The number of bytes, of a call whose result does not tell it."""
    tail_call: TailCall | None = None
    """The program that takes over at the return, if the result is ``least`` or more."""
    least: int = 0
    one_way: bool = False
    """The descriptor is read from or written to, as its file was opened."""
    reads_as: Account = Account.FILE_READ
    birth: Birth = Birth.OTHER
    when: When = When.ALWAYS
    ends: int | None = None
    """The descriptor that ends: its type must be found on entry."""
    on_entry: TailCall | None = None
    """The program that takes over at the entry."""

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


_READ = Syscall(Door.READ_WRITE, read=0)
_WRITE = Syscall(Door.READ_WRITE, write=0)
_READV = Syscall(Door.VECTORED, read=0)
_WRITEV = Syscall(Door.VECTORED, write=0)
_SEND = Syscall(Door.SOCKET_CALL, write=0)
_RECVFROM = Syscall(Door.SOCKET_CALL, read=0, flags=3)
_SENDFILE = Syscall(Door.SENDFILE, read=1, write=0)
_GETDENTS = Syscall(Door.DIRECTORY_CALL, read=0)
_MQ_SEND = Syscall(Door.MQUEUE_CALL, write=0, bytes=2)
_MQ_RECEIVE = Syscall(Door.MQUEUE_CALL, read=0)
_AIO = Syscall(Door.AIO, tail_call=TailCall.AIO_EVENTS, least=1)
_MESSAGES = Syscall(Door.SOCKET_CALL, tail_call=TailCall.MESSAGES)
_RECVMMSG = replace(_MESSAGES, read=0, flags=3)

TRANSFERS = (Door.SENDFILE, Door.SPLICE)
"""Doors of calls that may go on for long, with a part of their bytes moved."""

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
    "splice": Syscall(Door.SPLICE, read=0, write=2),
    "tee": Syscall(Door.SPLICE, read=0, write=1, reads_as=Account.FILE_DUPLICATE),
    "vmsplice": Syscall(Door.SPLICE, read=0, write=0, one_way=True),
    "io_submit": Syscall(on_entry=TailCall.AIO_SUBMISSIONS),
    "io_getevents": _AIO,
    "io_pgetevents": _AIO,
    "copy_file_range": Syscall(Door.COPY_FILE_RANGE, read=0, write=2),
    "getdents": _GETDENTS,
    "getdents64": _GETDENTS,
    "mq_timedsend": _MQ_SEND,
    "mq_timedsend_time64": _MQ_SEND,
    "mq_timedreceive": _MQ_RECEIVE,
    "mq_timedreceive_time64": _MQ_RECEIVE,
}

NUMBERS: dict[str, dict[str, int]] = {
    "x86_64": {
        "read": 0, "write": 1, "pread64": 17, "pwrite64": 18, "readv": 19, "writev": 20,
        "sendfile": 40, "sendto": 44, "recvfrom": 45, "sendmsg": 46, "recvmsg": 47,
        "getdents": 78, "io_getevents": 208, "io_submit": 209, "getdents64": 217,
        "mq_timedsend": 242,
        "mq_timedreceive": 243, "splice": 275, "tee": 276, "vmsplice": 278, "preadv": 295,
        "pwritev": 296, "recvmmsg": 299, "sendmmsg": 307, "copy_file_range": 326,
        "preadv2": 327, "pwritev2": 328, "io_pgetevents": 333,
    },
    "i386": {
        "read": 3, "write": 4, "readv": 145, "writev": 146, "pread64": 180, "pwrite64": 181,
        "sendfile": 187, "sendfile64": 239, "io_getevents": 247, "io_submit": 248, "splice": 313,
        "tee": 315,
        "vmsplice": 316, "preadv": 333, "pwritev": 334, "recvmmsg": 337, "sendmmsg": 345,
        "sendto": 369, "sendmsg": 370, "recvfrom": 371, "recvmsg": 372,
        "copy_file_range": 377, "preadv2": 378, "pwritev2": 379, "io_pgetevents": 385,
        "getdents": 141, "getdents64": 220, "mq_timedsend": 279, "mq_timedreceive": 280,
        "recvmmsg_time64": 417, "mq_timedsend_time64": 418, "mq_timedreceive_time64": 419,
    },
    "aarch64": {
        "io_submit": 2, "io_getevents": 4, "read": 63, "write": 64, "readv": 65, "writev": 66,
        "pread64": 67,
        "pwrite64": 68, "preadv": 69, "pwritev": 70, "sendfile": 71, "vmsplice": 75,
        "splice": 76, "tee": 77, "sendto": 206, "recvfrom": 207, "sendmsg": 211,
        "recvmsg": 212, "recvmmsg": 243, "sendmmsg": 269, "copy_file_range": 285,
        "getdents64": 61, "mq_timedsend": 182, "mq_timedreceive": 183,
        "preadv2": 286, "pwritev2": 287, "io_pgetevents": 292,
    },
}  # fmt: skip

COMPAT = {"x86_64": "i386"}

SOCKETCALL_NUMBER = 102
"""socketcall(2) of i386, whose first argument says which of these it is."""
# include/uapi/linux/net.h
SOCKETCALLS = {
    "socket": 1, "connect": 3, "accept": 5, "socketpair": 8, "send": 9, "recv": 10, "sendto": 11,
    "recvfrom": 12, "sendmsg": 16, "recvmsg": 17, "accept4": 18, "recvmmsg": 19, "sendmmsg": 20,
}  # fmt: skip
