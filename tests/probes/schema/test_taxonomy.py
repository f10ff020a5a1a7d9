# SPDX-License-Identifier: GPL-2.0-only
"""The numbers fit into the maps, and the label values are stable."""

from fdscope.probes.schema import records
from fdscope.probes.schema.slots import KERNEL_SOCKET, OVERFLOW_SHAPE
from fdscope.probes.schema.taxonomy import Account, Door, FdKind, FdType, Scope


def test_the_key_is_compact() -> None:
    assert records.dtype("counter_key").itemsize == 12
    assert records.dtype("amount").itemsize == 16


def test_every_fd_type_is_of_one_kind() -> None:
    for fd_type in FdType:
        kinds = [kind.name for kind in FdKind if fd_type in kind.fd_types]
        assert len(kinds) == 1, (
            f"{fd_type.label} is of the kinds {kinds}: see FdKind in taxonomy.py"
        )


def test_sockets_are_what_the_c_code_takes_for_sockets() -> None:
    """is_socket() and is_unix() in C compare with the first and the last of them."""
    sockets = [fd_type for fd_type in FdType if fd_type.is_socket]
    assert sockets == list(range(FdType.TCP, FdType.SOCKET_OTHER + 1))
    unix = range(FdType.UNIX_STREAM, FdType.UNIX_SEQPACKET + 1)
    assert list(FdKind.UNIX.fd_types) == list(unix)
    assert all(fd_type.is_socket for fd_type in FdType if fd_type.is_internet)


def test_every_slot_has_a_place_in_the_overflow_array() -> None:
    _, vias, fd_types, accounts = OVERFLOW_SHAPE
    assert max(Account) < accounts
    assert max(FdType) < fd_types
    assert max(*Door, max(Scope) + KERNEL_SOCKET) < vias


def test_words() -> None:
    assert {m.label for m in FdType} == {
        "regular", "directory", "block", "character", "tty", "fifo", "tcp", "udp", "unix_stream",
        "unix_dgram", "unix_seqpacket", "netlink", "packet", "raw", "icmp", "sctp", "vsock",
        "socket_other", "eventfd", "eventpoll", "timerfd", "signalfd", "inotify", "fanotify",
        "io_uring", "pidfd", "memfd", "bpf", "perf_event", "userfaultfd", "anon_other",
        "mqueue", "other", "path", "namespace",
    }  # fmt: skip
    assert {m.label for m in Door} == {
        "read_write", "vectored", "socket_call", "sendfile", "splice", "copy_file_range",
        "io_uring", "aio", "directory_call", "mqueue_call",
    }  # fmt: skip
