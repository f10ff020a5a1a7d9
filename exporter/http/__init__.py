# SPDX-License-Identifier: GPL-2.0-only
"""The HTTP server: sockets, limits, scrapes, the plain pages."""
