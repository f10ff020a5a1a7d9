# SPDX-License-Identifier: GPL-2.0-only
"""The options of the exporter, from flags, file and environment."""
