# SPDX-License-Identifier: GPL-2.0-only
"""The labels that tell whose amounts a series counts."""

from typing import NamedTuple

# Longer than any process name can be, so that none can pass for these.
UNATTRIBUTED = "(not attributed)"
OTHER = "(other processes)"
UNKNOWN = "(unknown process)"


class Owner(NamedTuple):
    """The labels that tell whose amounts a series counts."""

    process: str
    pid: str
    unit: str
    ended: str = ""
    """Time in seconds since 1970 up to which ended processes are summed here, or ""."""


def process_name(comm: bytes) -> str:
    r"""A process name as a label value: bytes that are no UTF-8 become ``\xNN``."""
    return comm.decode("utf-8", errors="backslashreplace")
