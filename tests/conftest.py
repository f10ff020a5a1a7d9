# SPDX-License-Identifier: GPL-2.0-only
"""Generated examples are the same in every run, so that results are stable.

`pytest --hypothesis-profile explore` looks for new ones.
"""

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=5000, deadline=None)
settings.load_profile("repeatable")
