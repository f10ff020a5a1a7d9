# SPDX-License-Identifier: GPL-2.0-only
"""The running kernel: what it has and allows."""
