# SPDX-License-Identifier: GPL-2.0-only
"""The same bytes through four kinds of file: the demonstration at the head of the live page."""
