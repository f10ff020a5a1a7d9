# SPDX-License-Identifier: GPL-2.0-only
"""Reading maps, without a kernel."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fdscope.probes.read.maps import over_cpus

AMOUNT = np.dtype([("operations", "<u8"), ("bytes", "<u8")])


@pytest.mark.parametrize("entries", [0, 1, 3])
@pytest.mark.parametrize("cpus", [1, 4])
def test_sums_over_cpus(entries: int, cpus: int) -> None:
    """Also of no entries: hosts without recently ended processes have none."""
    values = np.zeros((entries, cpus), AMOUNT)
    values["operations"], values["bytes"] = 2, 7
    assert over_cpus(values).tolist() == [[2 * cpus, 7 * cpus]] * entries


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts over a file of sysfs")
@pytest.mark.parametrize(
    ("listing", "slots"), [("0", 1), ("0-3", 4), ("0,2-5", 5), ("0-1,4-5,8", 5)]
)
def test_a_slot_for_each_possible_cpu(tmp_path: Path, listing: str, slots: int) -> None:
    """The kernel packs the slots: CPUs that are not possible have none."""
    shown = tmp_path / "possible"
    shown.write_text(f"{listing}\n")
    place = "/sys/devices/system/cpu/possible"
    script = f'mount --bind "$1" {place} && exec "$2" -c "$3"'
    program = "from fdscope.probes.kernel.libbpf import host_cpus; print(host_cpus())"
    arguments = ["-", str(shown), sys.executable, program]
    command = ["unshare", "--mount", "sh", "-c", script, *arguments]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    assert int(answer.stdout) == slots
