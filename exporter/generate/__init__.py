# SPDX-License-Identifier: GPL-2.0-only
"""Generators of the files in the repository that the catalog and the options decide."""
