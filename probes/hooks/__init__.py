# SPDX-License-Identifier: GPL-2.0-only
"""Which kernel functions, tracepoints and system calls are hooked, and what is not seen."""
