# SPDX-License-Identifier: GPL-2.0-only
"""The functions that the kernel calls for a file, from the tables that the file points to.

``vfs_write()`` calls what stands in ``file->f_op``. For a socket that is ``sock_write_iter()``,
which calls what stands in ``socket->ops`` and ``sock->sk_prot``. A program reads these tables on
demand; /proc/kallsyms has the names.
"""

import threading
from dataclasses import dataclass

from fdscope.probes.kernel import libbpf
from fdscope.probes.kernel.kallsyms import Symbols
from fdscope.probes.read.maps import read_value
from fdscope.probes.schema.records import dtype
from fdscope.probes.schema.taxonomy import FdType
from fdscope.probes.text import printable

PROGRAM = "on_operations"
_FOUND = 1
_RECORD = dtype("operations")


@dataclass(frozen=True, slots=True)
class Operations:
    """What writes to a file go through: the functions one after the other, outermost first.

    A function that has no name here (addresses are hidden from this process) is left out.
    """

    fd_type: FdType
    filesystem: str
    """Type of the filesystem that its inode is in: ``sockfs`` for a socket."""
    write: tuple[str, ...]
    send: tuple[str, ...]
    """By send(), which does not go through the table of the file; empty if it is no socket."""


class OperationsReader:
    """Reads the tables of files that this process holds."""

    def __init__(self, program: int, answer: int) -> None:
        """``program`` and ``answer``: descriptors of the program, and of the map ``operations``.

        Addresses are readable later if they are now: privileges can be dropped in between.
        """
        self._program = program
        self._answer = answer
        self._symbols = Symbols()
        self._reading = threading.Lock()

    def read(self, fd: int) -> Operations:
        """Of a descriptor of the calling process; OSError if the kernel refuses."""
        with self._reading:
            if libbpf.run(self._program, (fd,)) != _FOUND:
                raise OSError(f"fd {fd} is not open")
            found = read_value(self._answer, _RECORD)
        ways = {
            "write": ("file_write", "family_send", "protocol_send"),
            "send": ("family_send", "protocol_send"),
        }
        names = self._symbols.names({int(found[field]) for way in ways.values() for field in way})
        named = {
            way: tuple(name for field in fields if (name := names[int(found[field])]))
            for way, fields in ways.items()
        }
        filesystem = bytes(found["filesystem"]).decode(errors="replace")
        return Operations(FdType(int(found["fd_type"])), printable(filesystem), **named)

    def close(self) -> None:
        """Close the symbols."""
        self._symbols.close()
