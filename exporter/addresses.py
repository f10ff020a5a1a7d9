# SPDX-License-Identifier: GPL-2.0-only
"""Addresses to listen on, from text."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; an empty host stands for every address of the machine."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address(text: str) -> Address:
    """Read HOST:PORT, [IPv6]:PORT or :PORT; ValueError says what is wrong."""
    host, colon, port = text.rpartition(":")
    if not colon or "/" in text or any(character.isspace() for character in text):
        raise ValueError(f"{text!r} is not HOST:PORT, [IPv6]:PORT or :PORT")
    if not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(f"{text!r} has no port from 0 to 65535 after the last colon")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        ipaddress.IPv6Address(host)
    elif ":" in host or "[" in host or "]" in host:
        raise ValueError(f"{text!r}: an IPv6 address stands in brackets, such as [::1]:20253")
    return Address(host, int(port))


def addresses(texts: Sequence[str]) -> tuple[Address, ...]:
    """Read several, each once; ValueError if there is none."""
    if not texts:
        raise ValueError("at least one address is needed")
    return tuple(dict.fromkeys(address(text) for text in texts))
