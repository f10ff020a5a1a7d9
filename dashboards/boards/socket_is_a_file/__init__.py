# SPDX-License-Identifier: GPL-2.0-only
"""The home dashboard: a socket is a file."""
