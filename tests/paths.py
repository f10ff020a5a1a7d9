# SPDX-License-Identifier: GPL-2.0-only
"""Folders of the checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
BUILD = ROOT / "build"
"""Files that tests compile and record; not in git."""
