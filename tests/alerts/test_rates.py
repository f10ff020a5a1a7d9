# SPDX-License-Identifier: GPL-2.0-only
"""The recorded rates: of short processes, after restarts, and of what moves between series."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.paths import DEPLOY

RECORD = "instance_process:fdscope_file_read_bytes:rate5m"
READ = "fdscope_file_read_bytes_total"
UP = "1x30"
_UP_LATER = "_x10 1x20"

# What it is about; values a minute of `up` and of each series; minute; bytes per second.
CASES: dict[str, tuple[str, dict[str, str], int, float | None]] = {
    "steady": (UP, {'process="a", pid="1"': "0+600x30"}, 20, 10),
    "a process that was there for one scrape": (
        UP,
        {
            'process="a", pid="1"': "_x10 3000 stale",
            'process="a", pid="", ended="9"': "_x11 3000x19",
        },
        12,
        10,
    ),
    "one after the other": (
        UP,
        {
            'process="a", pid="1"': "_x10 3000 stale",
            'process="a", pid="", ended="9"': "_x11 3000 stale",
            'process="a", pid="2"': "_x11 3000 stale",
            'process="a", pid="", ended="10"': "_x12 6000x18",
        },
        13,
        20,
    ),
    "the exporter has begun again": (UP, {'process="a", pid="1"': "0+600x9 0+300x20"}, 13, 3),
    "some minutes after that": (UP, {'process="a", pid="1"': "0+600x9 0+300x20"}, 17, 5),
    "an exporter that has counted for long, new to Prometheus": (
        _UP_LATER,
        {'process="a", pid="1"': "_x10 1000000000000+600x20"},
        12,
        None,
    ),
    "the same, when its past is known": (
        _UP_LATER,
        {'process="a", pid="1"': "_x10 1000000000000+600x20"},
        16,
        10,
    ),
    "one of two units of a name is summed": (
        UP,
        {
            'process="a", pid="", unit="x"': "9000000000+600x30",
            'process="a", pid="", unit="y"': "7000000000x10 stale",
        },
        12,
        10,
    ),
    "a name that is summed adds nothing to the other processes": (
        UP,
        {
            'process="(other processes)", pid=""': "0+600x30",
            'process="(other processes)", pid="", ended="9"': "_x10 7000000000x20",
        },
        12,
        10,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_rate_by_name(case: str, tmp_path: Path) -> None:
    up, series, minute, rate = CASES[case]
    told = {'up{job="fdscope", instance="h"}': up}
    told |= {
        f'{READ}{{job="fdscope", instance="h", {it}}}': values for it, values in series.items()
    }
    name = next(iter(series)).split('"')[1]
    labels = f'{RECORD}{{job="fdscope", instance="h", process="{name}"}}'
    test = {
        "interval": "1m",
        "input_series": [{"series": it, "values": values} for it, values in told.items()],
        "promql_expr_test": [
            {
                "expr": RECORD,
                "eval_time": f"{minute}m",
                "exp_samples": [{"labels": labels, "value": rate}] if rate is not None else [],
            }
        ],
    }
    tests = {
        "rule_files": [str(DEPLOY / "records/fdscope.yml")],
        "evaluation_interval": "1m",
        "tests": [test],
    }
    file = tmp_path / "tests.yml"
    file.write_text(json.dumps(tests))
    run = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True)
    assert run.returncode == 0, f"{run.stdout}{run.stderr}"
