# SPDX-License-Identifier: GPL-2.0-only
"""The scheduling priority to serve with: a host that is busy is to be observed all the same."""

import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)

_AUTOGROUP = Path("/proc/self/autogroup")
"""Where the kernel shares the processors among sessions first (sched(7)), that of ours."""


def raise_to(nice: int) -> None:
    """Set the nice value, unless it is 0, was set by whoever started us, or may not be raised.

    Call it before threads start: they inherit it, and since they wait for one lock all need it.
    The leader of a session sets that of its session too.
    """
    if not nice or os.getpriority(os.PRIO_PROCESS, 0):
        return
    try:
        os.setpriority(os.PRIO_PROCESS, 0, nice)
        if _AUTOGROUP.exists() and os.getsid(0) == os.getpid():
            _AUTOGROUP.write_text(str(nice))
    except OSError as error:
        log.debug("the priority stays as it is: %s", error)
