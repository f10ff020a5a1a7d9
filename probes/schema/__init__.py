# SPDX-License-Identifier: GPL-2.0-only
"""The words and layouts that C, Python and the metrics share."""
