# SPDX-License-Identifier: GPL-2.0-only
"""The alerts and recording rules by subject."""
