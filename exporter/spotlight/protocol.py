# SPDX-License-Identifier: GPL-2.0-only
"""The protocol between a running exporter and its clients: one JSON object a line, both ways.

A client begins with its protocol and version and gets those of the exporter. Then each request has
one answer. What a connection watches ends with it.
"""

import json
from typing import Any

PROTOCOL = 2
"""Changes with each change that an older side would not understand."""
DEFAULT_PATH = "/run/fdscope/control.sock"
MOST_BYTES = 1 << 16
"""Longest request."""

Message = dict[str, Any]


class ProtocolError(Exception):
    """What came is no message of this protocol; the text says why."""


class NoProcessError(LookupError):
    """There is no such process, or it cannot be looked at; the text says which."""


def encode(message: Message) -> bytes:
    """A message as a line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Message:
    """The message of a line; ProtocolError if it is none."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"no JSON: {error}") from error
    if not isinstance(message, dict):
        raise ProtocolError("no JSON object")
    return message


def greeting(version: str) -> Message:
    """What each side says first."""
    return {"protocol": PROTOCOL, "version": version}


def mismatch(message: Message, theirs: str) -> str:
    """Why the other side cannot be talked to; empty if it can."""
    if message.get("protocol") == PROTOCOL:
        return ""
    return (
        f"{theirs} is fdscope {message.get('version', 'of an unknown version')!s:.40} with another"
        " control protocol: use the same version of fdscope on both sides"
    )
