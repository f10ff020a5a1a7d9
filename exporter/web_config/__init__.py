# SPDX-License-Identifier: GPL-2.0-only
"""The file of ``--web.config.file``, as in Prometheus' exporters: TLS, passwords, headers."""
