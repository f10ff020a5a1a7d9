# SPDX-License-Identifier: GPL-2.0-only
"""What the kernel itself has counted for a TCP connection, asked by sock_diag.

It answers for the network namespace of this process only, and needs no privileges.
"""

import os
import socket
import struct
from dataclasses import dataclass

from fdscope.probes.schema.files import INTERNET_FAMILIES, Ends

_SOCK_DIAG = 4
"""NETLINK_SOCK_DIAG, include/uapi/linux/netlink.h."""
_BY_FAMILY = 20
"""SOCK_DIAG_BY_FAMILY, which the answer has too; include/uapi/linux/sock_diag.h."""
_REQUEST = 1
_INFO = 2
"""INET_DIAG_INFO, include/uapi/linux/inet_diag.h."""
_HEADER = struct.Struct("=IHHII")
_ASKED = struct.Struct("=BBBBI")
"""The first fields of struct inet_diag_req_v2; the socket's id is behind them."""
_ID = struct.Struct("!HH16s16s")
_REST_OF_ID = struct.Struct("=IQ")
_NO_COOKIE = (1 << 64) - 1
_MESSAGE = struct.Struct("=4x48xIIIII")
"""struct inet_diag_msg: expires, rqueue, wqueue, uid, inode."""
_ATTRIBUTE = struct.Struct("=HH")
_RECEIVED, _NOT_SENT, _SENT = 128, 144, 200
"""Offsets in struct tcp_info: bytes_received, notsent_bytes, bytes_sent and bytes_retrans."""
_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class TcpBytes:
    """What went through a connection since it was made, as its process has written and read it."""

    sent: int
    """Bytes that the kernel has sent, once each, and those that wait to be sent."""
    received: int
    """Without those that wait to be read."""


class TcpInfo:
    """Asks the kernel about connections; not thread-safe."""

    def __init__(self) -> None:
        """OSError if the kernel has no sock_diag."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG)
        self._socket.settimeout(_SECONDS)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def of(self, ends: Ends, inode: int) -> TcpBytes | None:
        """Of the socket with these ends; None if this namespace has no such one."""
        if ends.family not in INTERNET_FAMILIES or not ends.remote_port:
            return None
        wanted = _ASKED.pack(ends.family, socket.IPPROTO_TCP, 1 << (_INFO - 1), 0, 0xFFFFFFFF)
        wanted += _ID.pack(
            ends.local_port, ends.remote_port, ends.local.ljust(16, b"\0"),
            ends.remote.ljust(16, b"\0"),
        ) + _REST_OF_ID.pack(ends.interface, _NO_COOKIE)  # fmt: skip
        length = _HEADER.size + len(wanted)
        try:
            self._socket.send(_HEADER.pack(length, _BY_FAMILY, _REQUEST, os.getpid(), 0) + wanted)
            answer = self._socket.recv(8192)
        except OSError:
            return None
        return _decoded(answer, inode)


def _decoded(answer: bytes, inode: int) -> TcpBytes | None:
    if len(answer) < _HEADER.size + _MESSAGE.size:
        return None
    length, kind, *_ = _HEADER.unpack_from(answer)
    if kind != _BY_FAMILY:
        return None
    _, queue, _, _, found = _MESSAGE.unpack_from(answer, _HEADER.size)
    if found != inode & 0xFFFFFFFF:
        return None
    at = _HEADER.size + _MESSAGE.size
    while at + _ATTRIBUTE.size <= min(length, len(answer)):
        size, attribute = _ATTRIBUTE.unpack_from(answer, at)
        info = answer[at + _ATTRIBUTE.size : at + size]
        if attribute == _INFO and len(info) >= _SENT + 16:
            (received,) = struct.unpack_from("=Q", info, _RECEIVED)
            (not_sent,) = struct.unpack_from("=I", info, _NOT_SENT)
            sent, again = struct.unpack_from("=QQ", info, _SENT)
            return TcpBytes(sent - again + not_sent, received - queue)
        at += max((size + 3) & ~3, _ATTRIBUTE.size)
    return None
