# SPDX-License-Identifier: GPL-2.0-only
"""Where events go: each sink has a thread and a bounded queue, and holds up nothing else."""
