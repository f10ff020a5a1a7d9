# SPDX-License-Identifier: GPL-2.0-only
"""The journal: what happened, to whom, with all its details, as lines of JSON."""
