# SPDX-License-Identifier: GPL-2.0-only
"""Listening sockets: own TCP and unix ones, and those that systemd passes."""

import errno
import os
import socket
import stat
from collections.abc import Collection, Iterator, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from fdscope.exporter.preconditions import RunError
from fdscope.exporter.settings.addresses import Address, AnyAddress, UnixAddress
from fdscope.exporter.settings.strict import ConfigError

BACKLOG = 1024
"""Connections that wait to be accepted; the kernel takes less where net.core.somaxconn is less."""

_FIRST_PASSED, _MOST_PASSED = 3, 64
_ADVICE = {
    errno.EADDRINUSE: "another program listens there. See which with `ss -ltnp`, and end it or"
    " choose another --web.listen-address",
    errno.EACCES: "ports below 1024 need root or CAP_NET_BIND_SERVICE. Choose another"
    " --web.listen-address",
    errno.EADDRNOTAVAIL: "this machine has no such address. `ip address` shows those it has;"
    " choose another --web.listen-address",
}


class BindError(RunError):
    """An address cannot be listened on; the text names it and what to do."""


class UnixListener(socket.socket):
    """A listening unix socket that knows its place in the file system."""

    def __init__(self, address: UnixAddress) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)
        self.address = address
        self.identity: tuple[int, int] | None = None
        """Device and inode of the socket's file, once it is in its place."""

    def remove(self) -> None:
        """Remove the file, unless another one has taken its place or it cannot be removed."""
        path = Path(self.address.path)
        with suppress(OSError):
            status = path.lstat()
            if (status.st_dev, status.st_ino) == self.identity:
                path.unlink()


def bind(
    addresses: Sequence[AnyAddress],
    unix_mode: int = 0o660,
    unix_group: int | None = None,
    owner: int | None = None,
) -> list[socket.socket]:
    """Listen on every address, or on none: BindError if one fails.

    Folders of unix sockets may belong to ``owner`` besides root and this process's user.
    """
    trusted = {0, os.geteuid(), *(() if owner is None else (owner,))}
    sockets: list[socket.socket] = []
    for address in addresses:
        try:
            if isinstance(address, UnixAddress):
                sockets.append(_listen_unix(address, unix_mode, unix_group, trusted))
            else:
                sockets += _listen(address)
        except BindError:
            release(sockets)
            raise
        except (OSError, ValueError) as error:  # ValueError: an invalid name
            release(sockets)
            raise BindError(_why(address, error)) from error
    return sockets


def _why(address: AnyAddress, error: OSError | ValueError) -> str:
    number = error.errno or 0 if isinstance(error, OSError) else 0
    if isinstance(address, UnixAddress):
        advice = "check who may write to its folder, or choose another --web.listen-address"
    else:
        advice = _ADVICE.get(number, "choose another --web.listen-address")
    if isinstance(error, socket.gaierror) or not number:
        return f"cannot listen on {address}: {getattr(error, 'strerror', None) or error}: {advice}"
    return f"cannot listen on {address}: {os.strerror(number)}: {advice}"


def _listen(address: Address) -> list[socket.socket]:
    """Listen on all addresses of the host; OSError if there are none."""
    meant = socket.getaddrinfo(
        address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    sockets: list[socket.socket] = []
    for family, *_, where in sorted(meant, key=lambda entry: entry[0]):
        # Port 0 is to be the same free port for IPv6 as for IPv4.
        port = sockets[0].getsockname()[1] if sockets else address.port
        try:
            listener = socket.create_server(
                (where[0], port, *where[2:]), family=family, backlog=BACKLOG
            )
        except OSError as error:
            # A name, and an empty host, can stand for IPv6 where it is switched off.
            if sockets and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                continue
            release(sockets)
            raise
        listener.setblocking(False)
        sockets.append(listener)
    return sockets


def _listen_unix(
    address: UnixAddress, mode: int, group: int | None, trusted: Collection[int]
) -> UnixListener:
    """Listen on a socket, set its rights, and only then put it in place."""
    path = Path(address.path)
    _refuse_folders_of_others(address, path.parent, trusted)
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    listener = UnixListener(address)
    fresh = f".{path.name[:40]}.{os.getpid()}.new"
    try:
        with _named(fresh, folder):
            before = os.umask(0o777)  # nobody may connect to it before its rights are right
            try:
                listener.bind(f"/proc/self/fd/{folder}/{fresh}")
            finally:
                os.umask(before)
            listener.identity = _give_rights(fresh, folder, mode, group)
            listener.listen(BACKLOG)
            listener.setblocking(False)
            _put_in_place(address, fresh, path.name, folder)
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(folder)
    return listener


def _refuse_folders_of_others(address: UnixAddress, folder: Path, trusted: Collection[int]) -> None:
    """BindError if another user could replace the socket."""
    for place in (folder, *folder.parents):
        status = place.stat()
        others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if status.st_uid not in trusted or (others and not status.st_mode & stat.S_ISVTX):
            raise BindError(
                f"cannot listen on {address}: others may write to {place}, and could put a socket"
                " of their own there: use a folder that only root and the exporter's user may"
                " write to, such as /run/fdscope"
            )


@contextmanager
def _named(name: str, folder: int) -> Iterator[None]:
    """Leave no file of this name behind, whatever happens."""

    def remove() -> None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)

    remove()  # left by a killed process of the same pid
    try:
        yield
    finally:
        remove()


def _give_rights(name: str, folder: int, mode: int, group: int | None) -> tuple[int, int]:
    """Set group and permissions through a descriptor; return device and inode."""
    number = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        same = f"/proc/self/fd/{number}"
        if group is not None:
            os.chown(same, -1, group)
        os.chmod(same, mode)  # noqa: PTH101 - a descriptor
        status = os.fstat(number)
        return status.st_dev, status.st_ino
    finally:
        os.close(number)


def _put_in_place(address: UnixAddress, fresh: str, name: str, folder: int) -> None:
    """Give the fresh socket its name; it replaces a stale socket, and nothing else."""
    for _ in range(2):
        try:
            os.link(fresh, name, src_dir_fd=folder, dst_dir_fd=folder)
        except FileExistsError:
            _take_stale(address, name, folder)
        else:
            return
    raise BindError(f"cannot listen on {address}: another program created it at the same time")


def _take_stale(address: UnixAddress, name: str, folder: int) -> None:
    """Remove a socket on which nobody listens; BindError if it is anything else."""
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISSOCK(status.st_mode):
        raise BindError(
            f"cannot listen on {address}: a file that is no socket is there: remove it, or choose"
            " another --web.listen-address"
        )
    # Rename first: what is checked then is what is removed.
    taken = f".{name[:40]}.{os.getpid()}.old"
    with _named(taken, folder):
        os.rename(name, taken, src_dir_fd=folder, dst_dir_fd=folder)
        if _is_in_use(f"/proc/self/fd/{folder}/{taken}"):
            with suppress(FileExistsError):
                os.link(taken, name, src_dir_fd=folder, dst_dir_fd=folder)
            raise BindError(
                f"cannot listen on {address}: another program listens there. See which with"
                " `ss -lxp`, and end it or choose another --web.listen-address"
            )


def _is_in_use(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        try:
            client.connect(path)
        except ConnectionRefusedError:
            return False
        except OSError:  # its backlog is full, or it is a socket of another type
            return True
    return True


def passed(environment: MutableMapping[str, str]) -> list[socket.socket]:
    """The listening sockets that systemd passes (sd_listen_fds(3)); ConfigError if there is none.

    Their variables are removed from the environment: child processes must not see them.
    """
    count = environment.pop("LISTEN_FDS", "")
    process = environment.pop("LISTEN_PID", "")
    environment.pop("LISTEN_FDNAMES", None)
    if process != str(os.getpid()) or not count.isascii() or not count.isdecimal():
        raise ConfigError(
            "--web.systemd-socket: systemd passes no socket to this process: start it by a socket"
            " unit of the same name, or leave the option out"
        )
    if not 1 <= int(count[:9]) <= _MOST_PASSED:
        raise ConfigError(
            f"--web.systemd-socket: systemd passes {count[:9]} sockets, not from 1 to"
            f" {_MOST_PASSED}"
        )
    numbers = range(_FIRST_PASSED, _FIRST_PASSED + int(count))
    return [_checked(number) for number in numbers]


def _checked(number: int) -> socket.socket:
    try:
        os.set_inheritable(number, False)
        listener = socket.socket(fileno=number)
    except OSError as error:
        raise ConfigError(
            f"--web.systemd-socket: descriptor {number} is no socket: {error.strerror}"
        ) from error
    families = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
    listens = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if not listens or listener.type != socket.SOCK_STREAM or listener.family not in families:
        raise ConfigError(
            f"--web.systemd-socket: socket {number} is no listening stream socket: the socket unit"
            " needs ListenStream= and Accept=no"
        )
    listener.setblocking(False)
    return listener


def release(sockets: Sequence[socket.socket]) -> None:
    """Close them and remove their files; already closed is no error."""
    for listener in sockets:
        if isinstance(listener, UnixListener):
            listener.remove()
        listener.close()


def urls(sockets: Sequence[socket.socket], scheme: str = "http") -> list[str]:
    """The URL of each for a client on this machine: ``http://127.0.0.1:20253``, ``unix:/PATH``."""
    return list(dict.fromkeys(_url(listener, scheme) for listener in sockets))


def _url(listener: socket.socket, scheme: str) -> str:
    if isinstance(listener, UnixListener):
        return str(listener.address)
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        text = os.fsdecode(name)
        return f"unix:{text.replace(chr(0), '@', 1)}"
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read here, not bound
    return f"{scheme}://{Address(here.get(name[0], name[0]), name[1])}"
