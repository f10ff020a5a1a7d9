# SPDX-License-Identifier: GPL-2.0-only
"""The hosts that do not exist, and the configuration of a fleet."""

import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.fleet import hosts
from tests.fleet.hosts import Host, recording, serving
from tests.paths import DEPLOY

FIRST = """\
# HELP fdscope_file_reads_total Reads.
# TYPE fdscope_file_reads_total counter
fdscope_file_reads_total{pid="7",process="a b"} 100.0
# HELP fdscope_open_fds Fds.
# TYPE fdscope_open_fds gauge
fdscope_open_fds{fd_type="regular",pid="7",process="a b"} 5.0
fdscope_open_fds{fd_type="tcp",pid="7",process="a b"} 6.0
# TYPE fdscope_build_info gauge
fdscope_build_info{kernel="6.1",python="3.11",version="0.1.0"} 1.0
# TYPE fdscope_attach_mode gauge
fdscope_attach_mode{mode="fentry"} 1.0
fdscope_attach_mode{mode="kprobe"} 0.0
"""
SECOND = FIRST.replace("100.0", "160.0")
LINES = recording(FIRST, SECOND, 6.0)


def samples(text: str) -> dict[tuple[str, str], float]:
    """Values by name and the first label that tells them apart."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = sample.labels
            which = labels.get("fd_type") or labels.get("mode") or labels.get("version") or ""
            found[sample.name, which] = sample.value
    return found


def test_counters_grow_at_the_pace_of_the_recording() -> None:
    host = Host(8, LINES, 1000.0)
    assert 0.5 <= host.factor <= 2
    reads = [
        samples(host.exposition(1000.0 + age))["fdscope_file_reads_total", ""]
        for age in (0, 10, 20)
    ]
    assert reads == [int(each * host.factor) for each in (160, 260, 360)]
    now = samples(host.exposition(1020.0))
    assert now["fdscope_open_fds", "regular"] == 5


def test_some_hosts_are_unlike_the_others() -> None:
    leaking = samples(Host(hosts.LEAKS, LINES, 0.0).exposition(60.0))
    assert leaking["fdscope_open_fds", "regular"] == 125
    assert leaking["fdscope_open_fds", "tcp"] == 6
    assert ("fdscope_build_info", "0.0.9") in samples(
        Host(hosts.OTHER_VERSION, LINES, 0.0).exposition(1.0)
    )
    other = samples(Host(hosts.OTHER_MODE, LINES, 0.0).exposition(1.0))
    assert (other["fdscope_attach_mode", "fentry"], other["fdscope_attach_mode", "kprobe"]) == (
        0,
        1,
    )


def test_a_recording_in_which_nothing_grows_is_refused() -> None:
    with pytest.raises(hosts.RecordingError):
        recording(FIRST, FIRST, 5.0)


def test_they_are_served() -> None:
    with serving(LINES, 5) as port:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/hosts/5/metrics") as page:
            assert len(samples(page.read().decode())) == 6
        for path in (f"{hosts.SILENT}/metrics", "6/metrics", "0/metrics", "x"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/hosts/{path}")
            refused.value.close()


@pytest.mark.parametrize("name", ["agent", "prometheus"])
def test_prometheus_takes_the_configuration(name: str, tmp_path: Path) -> None:
    if not shutil.which("promtool"):
        pytest.skip("no promtool on PATH (the package prometheus)")
    file = DEPLOY / f"fleet/{name}.yml"
    command = ["promtool", "check", "config", *["--agent"] * (name == "agent"), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
