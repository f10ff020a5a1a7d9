# SPDX-License-Identifier: GPL-2.0-only
"""System calls that Python's os module lacks, through libc's syscall()."""

import ctypes
import mmap
import os
import struct

from fdscope.probes.hooks.syscalls import number

LIBC = ctypes.CDLL(None, use_errno=True)

Argument = int | bytes | ctypes.Array[ctypes.c_char] | None


def call(name: str, *arguments: Argument) -> int:
    """One system call; OSError if it fails."""
    converted = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result: int = LIBC.syscall(ctypes.c_long(number(name)), *converted)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")
    return result


Buffer = ctypes.Array[ctypes.c_char]


def buffer(size: int) -> Buffer:
    """Memory that system calls read and write."""
    return ctypes.create_string_buffer(size)


def address(array: Buffer) -> int:
    """Its address in memory."""
    return ctypes.addressof(array)


def iovec(array: Buffer) -> Buffer:
    """A struct iovec of the whole buffer."""
    return ctypes.create_string_buffer(struct.pack("<QQ", address(array), len(array)), 16)


class Messages:
    """A vector of messages for sendmmsg and recvmmsg, each with a buffer of its own."""

    def __init__(self, count: int, size: int) -> None:
        self.count = count
        self._buffers = [buffer(size) for _ in range(count)]
        self._iovecs = [iovec(b) for b in self._buffers]
        headers = b"".join(
            struct.pack("<QIIQQQQiiII", 0, 0, 0, address(v), 1, 0, 0, 0, 0, 0, 0)
            for v in self._iovecs
        )
        self._headers = ctypes.create_string_buffer(headers, len(headers))

    def send(self, fd: int) -> int:
        """Send all; returns how many were sent."""
        return call("sendmmsg", fd, self._headers, self.count, 0)

    def receive(self, fd: int, flags: int = 0) -> int:
        """Receive up to as many; returns how many were received."""
        return call("recvmmsg", fd, self._headers, self.count, flags, None)


class Aio:
    """A context of io_submit, for one operation at a time."""

    def __init__(self) -> None:
        context = buffer(8)
        call("io_setup", 8, context)
        self._context = int.from_bytes(context.raw, "little")

    PREAD, PWRITE = 0, 1

    def close(self) -> None:
        """Give the context back: a host has a limited number (fs.aio-max-nr)."""
        call("io_destroy", self._context)

    def submit(self, opcode: int, fd: int, data: Buffer) -> Buffer:
        """Submit an operation; its control block, which the kernel has copied."""
        packed = struct.pack(
            "<QIIHhIQQqQII", 0, 0, 0, opcode, 0, fd, address(data), len(data), 0, 0, 0, 0
        )
        iocb = ctypes.create_string_buffer(packed, 64)
        pointers = ctypes.create_string_buffer(struct.pack("<Q", address(iocb)), 8)
        call("io_submit", self._context, 1, pointers)
        return iocb

    def result(self) -> int:
        """Wait for the operation; its result."""
        event = buffer(32)
        call("io_getevents", self._context, 1, 1, event, None)
        result: int = struct.unpack("<QQqq", event.raw)[2]
        return result

    def run(self, opcode: int, fd: int, data: Buffer) -> int:
        """Submit and wait; the result of the operation."""
        iocb = self.submit(opcode, fd, data)
        result = self.result()
        del iocb  # not earlier: its memory must not be used again before
        return result


class Ring:
    """An io_uring, for one operation at a time."""

    READV, WRITEV, SENDMSG, RECVMSG, READ, WRITE, SEND, RECV = 1, 2, 9, 10, 22, 23, 26, 27
    SPLICE, SEND_ZC = 30, 47

    def __init__(self, flags: int = 0) -> None:
        params = ctypes.create_string_buffer(120)
        struct.pack_into("<IIII", params, 0, 0, 0, flags, 0)
        self.fd = call("io_uring_setup", 8, params)
        self._sq = struct.unpack_from("<10I", params, 40)
        self._cq = struct.unpack_from("<10I", params, 80)
        entries, cq_entries = struct.unpack_from("<II", params, 0)
        size = max(self._sq[6] + entries * 4, self._cq[5] + cq_entries * 16)
        self._rings = mmap.mmap(self.fd, size, offset=0)
        self._sqes = mmap.mmap(self.fd, entries * 64, offset=0x10000000)

    def _word(self, offset: int) -> int:
        value: int = struct.unpack_from("<I", self._rings, offset)[0]
        return value

    def run(
        self,
        opcode: int,
        fd: int,
        where: int,
        length: int,
        offset: int = 0,
        sqe_flags: int = 0,
        flags: int = 0,
        file_index: int = 0,
    ) -> int:
        """Submit and wait; the result of the operation."""
        tail = self._word(self._sq[1])
        index = tail & self._word(self._sq[2])
        sqe = struct.pack("<BBHiQQIIQ", opcode, sqe_flags, 0, fd, offset, where, length, flags, 1)
        sqe += struct.pack("<HHI", 0, 0, file_index)
        self._sqes[index * 64 : index * 64 + 64] = sqe.ljust(64, b"\0")
        struct.pack_into("<I", self._rings, self._sq[6] + index * 4, index)
        struct.pack_into("<I", self._rings, self._sq[1], tail + 1)
        call("io_uring_enter", self.fd, 1, 1, 1, None, 0)
        head = self._word(self._cq[0])
        at = self._cq[5] + (head & self._word(self._cq[2])) * 16
        struct.pack_into("<I", self._rings, self._cq[0], head + 1)
        result: int = struct.unpack_from("<Qi", self._rings, at)[1]
        return result
