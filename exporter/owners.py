# SPDX-License-Identifier: GPL-2.0-only
"""The labels that tell whose amounts a series counts."""

from functools import lru_cache
from typing import NamedTuple

from probes.text import printable

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
    """Time in seconds since 1970 up to which ended processes are summed here, or "".

    It is new whenever the sum has grown."""


@lru_cache(maxsize=16384)
def process_name(comm: bytes) -> str:
    """A process name as a label value."""
    return printable(comm)
