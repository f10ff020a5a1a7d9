# SPDX-License-Identifier: GPL-2.0-only
"""The way from the kernel to snapshots: hooks, BPF programs, maps."""
