# SPDX-License-Identifier: GPL-2.0-only
"""What is read from maps, without a kernel."""

import numpy as np
import pytest

from probes.maps import over_cpus, possible_cpus

AMOUNT = np.dtype([("operations", "<u8"), ("bytes", "<u8")])


@pytest.mark.parametrize("entries", [0, 1, 3])
@pytest.mark.parametrize("cpus", [1, 4])
def test_sums_over_cpus(entries: int, cpus: int) -> None:
    """Also of no entries: hosts where nobody has ended lately have none."""
    values = np.zeros((entries, cpus), AMOUNT)
    values["operations"], values["bytes"] = 2, 7
    assert over_cpus(values).tolist() == [[2 * cpus, 7 * cpus]] * entries


def test_cpus_that_are_possible() -> None:
    assert [possible_cpus(listing) for listing in ("0", "0-3\n", "0,2-5")] == [1, 4, 6]
