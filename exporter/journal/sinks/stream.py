# SPDX-License-Identifier: GPL-2.0-only
"""Standard output as a sink: whole lines, to whoever reads them."""

import os
from collections.abc import Sequence

from fdscope.exporter.journal.sinks.outlet import Line


class Stream:
    """A descriptor that is open already. A reader may be slow: its writes may block."""

    name = "stdout"

    def __init__(self, fd: int = 1) -> None:
        self._fd = fd

    def write(self, lines: Sequence[Line]) -> int:
        """Write them; OSError once the reader has left."""
        data = memoryview("".join(f"{line.text}\n" for line in lines).encode())
        while data:
            data = data[os.write(self._fd, data) :]
        return len(lines)

    def close(self) -> None:
        """Nothing: the descriptor is the process's."""
