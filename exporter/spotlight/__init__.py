# SPDX-License-Identifier: GPL-2.0-only
"""Watched processes, file by file: for commands, and for clients of a running exporter.

Names of files and peers are other people's secrets: nothing of this goes to ``/metrics``.
"""
