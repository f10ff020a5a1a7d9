# SPDX-License-Identifier: GPL-2.0-only
"""The system calls of the file layer, for tracepoint mode: their numbers and their descriptors.

Numbers: arch/x86/entry/syscalls/syscall_{64,32}.tbl and
include/uapi/asm-generic/unistd.h of the kernel; they never change.
"""

from dataclasses import dataclass
from enum import IntEnum

from probes.taxonomy import Account, Door

NO_ARGUMENT = 0xFF
COMPAT_SLOTS = 512
"""Numbers of 32-bit programs start here in the ``syscalls`` map."""


class TailCall(IntEnum):
    """Programs of ``syscalls.c`` that loop over what a call did, by their place in the map."""

    MESSAGES = 0
    AIO_EVENTS = 1


@dataclass(frozen=True, slots=True)
class Syscall:
    """Which arguments (counted from 0) of a system call are descriptors, and what it does."""

    door: Door
    read: int | None = None
    """The descriptor that is read from."""
    write: int | None = None
    """The descriptor that is written to."""
    flags: int | None = None
    """The MSG_* flags of a receiving call."""
    tail_call: TailCall | None = None
    """It returns a number of things, which this program goes through."""
    one_way: bool = False
    """The descriptor is read from or written to, as its file was opened."""
    reads_as: Account = Account.FILE_READ

    def record(self) -> tuple[int, ...]:
        """The values of the record ``syscall``, in its order."""
        arguments = (
            NO_ARGUMENT if argument is None else argument
            for argument in (self.read, self.write, self.flags, self.tail_call)
        )
        return (1, self.door, self.reads_as, *arguments, self.one_way)


_READ = Syscall(Door.READ_WRITE, read=0)
_WRITE = Syscall(Door.READ_WRITE, write=0)
_READV = Syscall(Door.VECTORED, read=0)
_WRITEV = Syscall(Door.VECTORED, write=0)
_SEND = Syscall(Door.SOCKET_CALL, write=0)
_RECVFROM = Syscall(Door.SOCKET_CALL, read=0, flags=3)
_SENDFILE = Syscall(Door.SENDFILE, read=1, write=0)
_AIO = Syscall(Door.AIO, tail_call=TailCall.AIO_EVENTS)

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
    "sendmsg": _SEND,
    "sendmmsg": Syscall(Door.SOCKET_CALL, write=0, tail_call=TailCall.MESSAGES),
    "recv": _RECVFROM,
    "recvfrom": _RECVFROM,
    "recvmsg": Syscall(Door.SOCKET_CALL, read=0, flags=2),
    "recvmmsg": Syscall(Door.SOCKET_CALL, read=0, flags=3, tail_call=TailCall.MESSAGES),
    "recvmmsg_time64": Syscall(Door.SOCKET_CALL, read=0, flags=3, tail_call=TailCall.MESSAGES),
    "sendfile": _SENDFILE,
    "sendfile64": _SENDFILE,
    "splice": Syscall(Door.SPLICE, read=0, write=2),
    "tee": Syscall(Door.SPLICE, read=0, write=1, reads_as=Account.FILE_DUPLICATE),
    "vmsplice": Syscall(Door.SPLICE, read=0, write=0, one_way=True),
    "io_getevents": _AIO,
    "io_pgetevents": _AIO,
    "copy_file_range": Syscall(Door.COPY_FILE_RANGE, read=0, write=2),
}

NUMBERS: dict[str, dict[str, int]] = {
    "x86_64": {
        "read": 0, "write": 1, "pread64": 17, "pwrite64": 18, "readv": 19, "writev": 20,
        "sendfile": 40, "sendto": 44, "recvfrom": 45, "sendmsg": 46, "recvmsg": 47,
        "io_getevents": 208, "splice": 275, "tee": 276, "vmsplice": 278, "preadv": 295,
        "pwritev": 296, "recvmmsg": 299, "sendmmsg": 307, "copy_file_range": 326,
        "preadv2": 327, "pwritev2": 328, "io_pgetevents": 333,
    },
    "i386": {
        "read": 3, "write": 4, "readv": 145, "writev": 146, "pread64": 180, "pwrite64": 181,
        "sendfile": 187, "sendfile64": 239, "io_getevents": 247, "splice": 313, "tee": 315,
        "vmsplice": 316, "preadv": 333, "pwritev": 334, "recvmmsg": 337, "sendmmsg": 345,
        "sendto": 369, "sendmsg": 370, "recvfrom": 371, "recvmsg": 372,
        "copy_file_range": 377, "preadv2": 378, "pwritev2": 379, "io_pgetevents": 385,
        "recvmmsg_time64": 417,
    },
    "aarch64": {
        "io_getevents": 4, "read": 63, "write": 64, "readv": 65, "writev": 66, "pread64": 67,
        "pwrite64": 68, "preadv": 69, "pwritev": 70, "sendfile": 71, "vmsplice": 75,
        "splice": 76, "tee": 77, "sendto": 206, "recvfrom": 207, "sendmsg": 211,
        "recvmsg": 212, "recvmmsg": 243, "sendmmsg": 269, "copy_file_range": 285,
        "preadv2": 286, "pwritev2": 287, "io_pgetevents": 292,
    },
}  # fmt: skip

COMPAT = {"x86_64": "i386"}


def table(machine: str) -> dict[int, Syscall]:
    """Slot of the ``syscalls`` map to call, for ``uname -m``; KeyError if it is not supported."""
    slots = {number: SYSCALLS[name] for name, number in NUMBERS[machine].items()}
    for name, number in NUMBERS.get(COMPAT.get(machine, ""), {}).items():
        slots[COMPAT_SLOTS + number] = SYSCALLS[name]
    return slots
