# SPDX-License-Identifier: GPL-2.0-only
"""Parts of dashboards: panels, queries, layout, style."""
