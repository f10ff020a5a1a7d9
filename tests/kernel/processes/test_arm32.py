# SPDX-License-Identifier: GPL-2.0-only
"""32-bit programs on arm64: their system calls have other numbers, so none is taken for another."""

import os
import platform
import stat
import struct
from pathlib import Path

import pytest

from fdscope.probes.read.session import Session
from fdscope.probes.schema.taxonomy import Account, Cause, FdType, Loss
from tests.kernel.conftest import Run

# arch/arm/tools/syscall.tbl, and what has the same number on arm64
_EXIT = 1
_CALLS = {
    "write": 4,  # io_getevents
    "lseek": 19,  # eventfd2
    "getpid": 20,  # epoll_create1
    "setpgid": 57,  # close
    "dup2": 63,  # read
    "getppid": 64,  # write
    "setsid": 66,  # writev
}
TIMES = 5
_BASE, _HEADERS = 0x10000, 52 + 32


def program() -> bytes:
    """An ELF file that makes each of the calls some times, with the arguments 1, 1, 0."""

    def move(register: int, value: int) -> int:
        return 0xE3A00000 | register << 12 | value

    code = []
    for number in _CALLS.values():
        for _ in range(TIMES):
            code += [move(0, 1), move(1, 1), move(2, 0), move(7, number), 0xEF000000]
    code += [move(0, 0), move(7, _EXIT), 0xEF000000]
    text = struct.pack(f"<{len(code)}I", *code)
    size = _HEADERS + len(text)
    ident = b"\x7fELF\x01\x01\x01" + bytes(9)
    header = struct.pack(
        "<HHIIIIIHHHHHH", 2, 40, 1, _BASE + _HEADERS, 52, 0, 0x5000400, 52, 32, 1, 0, 0, 0
    )
    segment = struct.pack("<8I", 1, 0, _BASE, _BASE, size, size, 5, 4096)
    return ident + header + segment + text


def test_calls_are_not_taken_for_those_of_arm64(tmp_path: Path, session: Session, run: Run) -> None:
    if platform.machine() != "aarch64":
        pytest.skip("only arm64 has them")
    path = tmp_path / "arm32"
    path.write_bytes(program())
    path.chmod(stat.S_IRWXU)

    def work() -> None:
        _, pipe = os.pipe()
        os.dup2(pipe, 1)
        try:
            os.execv(path, ["arm32"])  # noqa: S606
        except OSError:  # ENOEXEC: this kernel or processor runs none
            os.eventfd(0)

    before = session.snapshot().losses[Loss.AIO_EVENTS]
    counted = run(work)
    if any(key[0] is Account.FD_OPENED and key[1] is FdType.EVENTFD for key in counted):
        pytest.skip("no 32-bit programs run here")
    fifo = {key for key in counted if key[1] is FdType.FIFO}
    assert {key[:1] + key[2:3] for key in fifo if key[0] is Account.FD_CLOSED} <= {
        (Account.FD_CLOSED, Cause.EXEC),
        (Account.FD_CLOSED, Cause.EXIT),
    }
    writes = {key: n for key, n in counted.items() if key in fifo and key[0].is_file}
    # In function modes the write of no byte is seen for what it is.
    assert all(key[0] is Account.FILE_WRITE and n == (TIMES, 0) for key, n in writes.items())
    assert session.snapshot().losses[Loss.AIO_EVENTS] == before
