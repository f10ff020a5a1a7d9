# SPDX-License-Identifier: GPL-2.0-only
"""The VM lab: boots distribution kernels under QEMU and runs the test suite inside."""
