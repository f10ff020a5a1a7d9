# SPDX-License-Identifier: GPL-2.0-only
"""The peers of connections, for limits per client.

On the loopback all users of a machine share an address: there the kernel reports the owner of the
socket.
"""

import ipaddress
import socket
import struct
from functools import lru_cache

_SOL_SOCKET_PEERCRED = struct.Struct("3i")
# include/uapi/linux/netlink.h, sock_diag.h, inet_diag.h
_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _REQUEST, _ERROR = 4, 20, 1, 2
_HEADER = struct.Struct("=IHHII")
_QUERY = struct.Struct("=BBBxI2s2s16s16sI8s")
_OWNER = struct.Struct("=II")
_OWNER_OFFSET = _HEADER.size + 4 + 48 + 12
"""Offset of uid and inode in struct inet_diag_msg: after state, addresses and three counters."""
_ANY_COOKIE = b"\xff" * 8


class Peers:
    """Names the peers of connections; call ``close()`` at the end."""

    def __init__(self) -> None:
        self._diag: socket.socket | None = None

    def name(self, connection: socket.socket, address: object) -> str:
        """A user of this machine (``uid 0``), or the address; for IPv6 its first half."""
        if connection.family == socket.AF_UNIX:
            return _unix_peer(connection)
        host, port, *_ = address if isinstance(address, tuple) else ("", 0)
        try:
            there = _plain(host)
            here_host, here_port, *_ = connection.getsockname()
            here = _plain(here_host)
            if there == here or there.is_loopback:
                owner = self._owner(there, port, here, here_port)
                return str(there) if owner is None else f"uid {owner}"
        except (OSError, ValueError, struct.error):
            return str(host)
        if there.version == 6:
            return str(ipaddress.ip_network((there, 64), strict=False))
        return str(there)

    def close(self) -> None:
        """Close the netlink socket."""
        if self._diag:
            self._diag.close()
            self._diag = None

    def _owner(
        self,
        there: ipaddress.IPv4Address | ipaddress.IPv6Address,
        port: int,
        here: ipaddress.IPv4Address | ipaddress.IPv6Address,
        here_port: int,
    ) -> int | None:
        """The user id of the socket that is bound to ``there``; None once it is closed."""
        if self._diag is None:
            kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            self._diag = socket.socket(socket.AF_NETLINK, kind, _NETLINK_SOCK_DIAG)
        family = socket.AF_INET if there.version == 4 else socket.AF_INET6
        query = _QUERY.pack(
            family, socket.IPPROTO_TCP, 0, 0xFFFFFFFF,
            port.to_bytes(2, "big"), here_port.to_bytes(2, "big"),
            there.packed, here.packed, 0, _ANY_COOKIE,
        )  # fmt: skip
        size = _HEADER.size + len(query)
        self._diag.send(_HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _REQUEST, 1, 0) + query)
        answer = self._diag.recv(8192)
        if _HEADER.unpack_from(answer)[1] == _ERROR:
            return None
        uid, inode = _OWNER.unpack_from(answer, _OWNER_OFFSET)
        return int(uid) if inode else None


def _unix_peer(connection: socket.socket) -> str:
    try:
        credentials = connection.getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, _SOL_SOCKET_PEERCRED.size
        )
    except OSError:
        return "unix"
    return f"uid {_SOL_SOCKET_PEERCRED.unpack(credentials)[1]}"


@lru_cache(1024)
def _plain(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    found = ipaddress.ip_address(host)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
