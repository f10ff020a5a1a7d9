# SPDX-License-Identifier: GPL-2.0-only
"""The file of ``--web.config.file``: TLS, passwords and headers, as Prometheus' own exporters."""
