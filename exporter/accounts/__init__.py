# SPDX-License-Identifier: GPL-2.0-only
"""What is kept from scrape to scrape: processes, units, ledger, fds, devices."""
