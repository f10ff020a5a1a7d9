# SPDX-License-Identifier: GPL-2.0-only
"""Rules as files for Prometheus and for Grafana."""
