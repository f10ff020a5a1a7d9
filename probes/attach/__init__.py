# SPDX-License-Identifier: GPL-2.0-only
"""From the C text to attached programs."""
