# SPDX-License-Identifier: GPL-2.0-only
"""Recording and alerting rules, from the metric catalog and the user's thresholds."""
