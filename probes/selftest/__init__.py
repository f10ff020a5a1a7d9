# SPDX-License-Identifier: GPL-2.0-only
"""Known bytes through every door, compared with what the probes counted."""
