# SPDX-License-Identifier: GPL-2.0-only
"""From snapshots to metrics over HTTP."""
