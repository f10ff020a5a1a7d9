# SPDX-License-Identifier: GPL-2.0-only
"""The way from the C text to attached programs."""
