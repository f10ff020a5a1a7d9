# SPDX-License-Identifier: GPL-2.0-only
"""The scheduling priority to serve with, so that a busy host is still observed."""

import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)

_AUTOGROUP = Path("/proc/self/autogroup")
"""The priority of our session, where the kernel divides the processors by session (sched(7))."""


def raise_to(nice: int) -> None:
    """Set the nice value, unless it is 0, was set already, or may not be raised.

    Call it before threads start: they inherit it, and because they share a lock all need it.
    The leader of a session also sets that of its session.
    """
    if not nice or os.getpriority(os.PRIO_PROCESS, 0):
        return
    try:
        os.setpriority(os.PRIO_PROCESS, 0, nice)
        if _AUTOGROUP.exists() and os.getsid(0) == os.getpid():
            _AUTOGROUP.write_text(str(nice))
    except OSError as error:
        log.debug("the priority cannot be raised: %s", error)
