# SPDX-License-Identifier: GPL-2.0-only
"""State that is kept from scrape to scrape: processes, units, ledger, fds, devices."""
