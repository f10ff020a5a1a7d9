# SPDX-License-Identifier: GPL-2.0-only
"""Addresses to listen on, from text."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from fdscope.exporter.settings.strict import shown

MAX_ADDRESSES = 64
MAX_UNIX_PATH = 107
"""include/uapi/linux/un.h: UNIX_PATH_MAX without the NUL."""

_UNIX = "unix:"
_LABEL = re.compile("[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_FORMS = "HOST:PORT, [IPv6]:PORT, :PORT or unix:/PATH"


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address to listen on; an empty host means every address of the machine."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A unix socket in the file system."""

    path: str

    def __str__(self) -> str:
        return f"{_UNIX}{self.path}"


AnyAddress = Address | UnixAddress


def address(text: str) -> AnyAddress:
    """Parse HOST:PORT, [IPv6]:PORT, :PORT or unix:/PATH; ValueError if it is none."""
    if text.startswith(_UNIX):
        return UnixAddress(_unix_path(text.removeprefix(_UNIX)))
    host, colon, port = text.rpartition(":")
    if not colon or "/" in text or any(character.isspace() for character in text):
        raise ValueError(f"{shown(text)} is not {_FORMS}")
    if not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(f"{shown(text)} has no port from 0 to 65535 after the last colon")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        try:
            ipaddress.IPv6Address(host)
        except ValueError as error:
            raise ValueError(f"{shown(text)}: {shown(host)} is no IPv6 address") from error
    elif ":" in host or "[" in host or "]" in host:
        raise ValueError(f"{shown(text)}: an IPv6 address stands in brackets, such as [::1]:20253")
    elif host:
        _check_name(host)
    return Address(host, int(port))


def _check_name(host: str) -> None:
    """ValueError unless it can be the name of a host or an IPv4 address."""
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(
            f"{shown(host)} is no host name: labels of up to 63 letters, digits and - in between,"
            " with dots between them; write a name of other letters in its form xn--"
        )


def _unix_path(path: str) -> str:
    if not path.startswith("/") or path.endswith("/"):
        raise ValueError(
            f"unix:{shown(path)} is no absolute path of a socket, such as"
            " unix:/run/fdscope/metrics.sock"
        )
    if ".." in PurePosixPath(path).parts:
        raise ValueError(f"unix:{shown(path)} has .. in its path")
    if len(path.encode("utf-8", "surrogateescape")) > MAX_UNIX_PATH:
        raise ValueError(f"unix:{shown(path)}: a socket's path has at most {MAX_UNIX_PATH} bytes")
    return str(PurePosixPath(path))


def addresses(texts: Sequence[str]) -> tuple[AnyAddress, ...]:
    """Parse several, without duplicates; ValueError if there are none or too many."""
    found = tuple(dict.fromkeys(address(text) for text in texts))
    if not found:
        raise ValueError("at least one address is needed")
    if len(found) > MAX_ADDRESSES:
        raise ValueError(f"{len(found)} addresses are more than {MAX_ADDRESSES}")
    return found
