# SPDX-License-Identifier: GPL-2.0-only
"""From snapshots and totals to metric families: pure functions, no kernel and no clock."""
