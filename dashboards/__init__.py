# SPDX-License-Identifier: GPL-2.0-only
"""From the metric catalog to PromQL, panels and alerts."""
