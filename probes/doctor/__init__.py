# SPDX-License-Identifier: GPL-2.0-only
"""The examination of a machine: what works, what is missing, what fixes it."""
