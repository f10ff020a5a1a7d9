# SPDX-License-Identifier: GPL-2.0-only
"""The scorecard: known bytes on every route, compared with the counts of fdscope."""
