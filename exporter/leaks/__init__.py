# SPDX-License-Identifier: GPL-2.0-only
"""Leaks of descriptors: the stacks of a process by name, and which of them leaks.

All of this reads what a watched process has written or mapped: it is hostile. Files are read in
bounded parts and never mapped, and what a number in them points at is checked.
"""
