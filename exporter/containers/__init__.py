# SPDX-License-Identifier: GPL-2.0-only
"""Names of containers, from the state that their runtimes keep on disk."""
