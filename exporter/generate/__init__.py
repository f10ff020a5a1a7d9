# SPDX-License-Identifier: GPL-2.0-only
"""Generators of files of the repository, from the catalog and the options."""
