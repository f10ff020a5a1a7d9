# SPDX-License-Identifier: GPL-2.0-only
"""Names of kernel functions by address, from /proc/kallsyms."""

from bisect import bisect_left
from collections.abc import Collection
from pathlib import Path

_KALLSYMS = Path("/proc/kallsyms")


class Symbols:
    """The kernel's symbols, read again only for addresses that are new.

    What may be read is decided when the file is opened: later the privileges can be dropped. The
    kernel shows every address as 0 to those without CAP_SYSLOG; then nothing is found.
    """

    def __init__(self, path: Path = _KALLSYMS) -> None:
        self._lines = path.open()
        self._names: dict[int, str] = {}

    def names(self, addresses: Collection[int]) -> dict[int, str]:
        """Address to the function around it, without the compiler's suffixes; "" if none is."""
        missing = sorted({address for address in addresses if address not in self._names})
        if missing:
            self._names |= self._find(missing)
        return {address: self._names[address] for address in addresses}

    def close(self) -> None:
        """Close the file."""
        self._lines.close()

    def _find(self, wanted: list[int]) -> dict[int, str]:
        """The nearest symbol at or below each of the sorted addresses, in one pass."""
        best = [(0, "")] * len(wanted)
        self._lines.seek(0)
        for line in self._lines:
            at = int(line[:16], 16)
            place = bisect_left(wanted, at)
            if place < len(wanted) and at > best[place][0]:
                best[place] = at, line.split()[2].partition(".")[0]
        for place in range(1, len(best)):
            best[place] = max(best[place - 1], best[place])
        return {address: name for address, (_, name) in zip(wanted, best, strict=True)}
