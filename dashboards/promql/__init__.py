# SPDX-License-Identifier: GPL-2.0-only
"""PromQL from the metric catalog: selectors and expressions."""
