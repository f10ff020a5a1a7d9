# SPDX-License-Identifier: GPL-2.0-only
"""From the maps to snapshots."""
