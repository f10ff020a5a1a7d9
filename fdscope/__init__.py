# SPDX-License-Identifier: GPL-2.0-only
"""fdscope as it is installed: ``probes``, ``exporter`` and ``dashboards`` under one name.

In a checkout the three are links to the folders beside this one.
"""
