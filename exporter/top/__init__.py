# SPDX-License-Identifier: GPL-2.0-only
"""``fdscope top``: rates of processes and files from look to look, and their screen."""
