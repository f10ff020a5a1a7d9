# SPDX-License-Identifier: GPL-2.0-only
"""The self-test: known bytes through every door, compared with what the probes counted."""
