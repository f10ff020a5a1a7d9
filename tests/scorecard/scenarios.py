# SPDX-License-Identifier: GPL-2.0-only
"""All scenarios, in the order of the table."""

from tests.scorecard.filesystems import FILESYSTEMS
from tests.scorecard.local import LOCAL
from tests.scorecard.model import Scenario
from tests.scorecard.moving import MOVING
from tests.scorecard.network import NETWORK
from tests.scorecard.processes import PROCESSES

SCENARIOS: tuple[Scenario, ...] = (*NETWORK, *LOCAL, *FILESYSTEMS, *MOVING, *PROCESSES)
