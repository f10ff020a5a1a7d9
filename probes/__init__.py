# SPDX-License-Identifier: GPL-2.0-only
"""From the kernel to snapshots: hooks, BPF programs, maps."""
