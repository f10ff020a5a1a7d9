# SPDX-License-Identifier: GPL-2.0-only
"""Where a machine tells of itself."""

import platform
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Host:
    """The running machine; tests give other places."""

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    modules: Path = Path("/lib/modules")
    boot: Path = Path("/boot")
    release: str = field(default_factory=platform.release)
    version: str = field(default_factory=platform.version)
    machine: str = field(default_factory=platform.machine)
