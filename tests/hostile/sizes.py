# SPDX-License-Identifier: GPL-2.0-only
"""How much of everything: FDSCOPE_TEST_SCALE makes it less where a machine is slow."""

import os

_SCALE = float(os.environ.get("FDSCOPE_TEST_SCALE", "1"))

NAMES = int(60_000 * _SCALE)
"""Names of a storm, each with a process."""
HERD = int(5000 * _SCALE)
"""Processes that live at once."""
CGROUPS = int(20_000 * _SCALE)
"""Cgroups that are made and removed."""
RENAMES = int(10_000 * _SCALE)
"""Names that one process gives itself, a thousand a second."""
MOVES = int(3000 * _SCALE)
"""Of one process between two cgroups."""
BOMBS = max(2, int(25 * _SCALE))
"""Processes with all errnos."""
SIEGE_SECONDS = float(os.environ.get("FDSCOPE_TEST_SIEGE_SECONDS", "30"))
