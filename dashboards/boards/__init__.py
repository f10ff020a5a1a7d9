# SPDX-License-Identifier: GPL-2.0-only
"""The dashboards, one module each."""
