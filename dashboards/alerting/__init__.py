# SPDX-License-Identifier: GPL-2.0-only
"""Recording and alerting rules: the metrics of the catalog and the user's thresholds to rules."""
