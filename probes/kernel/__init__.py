# SPDX-License-Identifier: GPL-2.0-only
"""What the running kernel is, has and allows."""
