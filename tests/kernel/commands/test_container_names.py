# SPDX-License-Identifier: GPL-2.0-only
"""The exporter names containers whose processes it counts, from state that only root may read."""

import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.dashboards.prometheus import free_port
from tests.exporter.containers import state
from tests.kernel.processes.living import alive
from tests.ours import hierarchy
from tests.paths import ROOT

pytestmark = pytest.mark.native

_PATIENCE_SECONDS = 300


@pytest.fixture
def container() -> Iterator[Path]:
    """A cgroup as Podman makes it for a container in a pod, with the systemd driver."""
    root = hierarchy()
    if root is None:
        pytest.skip("no cgroup hierarchy of version 2 is mounted")
    made = [Path(tempfile.mkdtemp(prefix="fdscope-test-", suffix=".slice", dir=root))]
    made.append(made[0] / f"machine-libpod_pod_{state.PODMAN_POD}.slice")
    made.append(made[1] / f"libpod-{state.PODMAN}.scope")
    for cgroup in made[1:]:
        cgroup.mkdir()
    yield made[-1]
    for cgroup in reversed(made):
        for _ in range(500):  # the kernel releases the last process late
            with suppress(OSError):
                cgroup.rmdir()
                break
            time.sleep(0.01)


def wait_for(port: int, word: str, exporter: subprocess.Popen[bytes]) -> str:
    """The metrics, once this word is in them."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        assert exporter.poll() is None
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
            text = str(page.read().decode())
            if word in text:
                return text
        time.sleep(0.5)
    raise AssertionError(f"no {word} in the metrics")


def test_a_container_of_podman_in_a_pod(container: Path, tmp_path: Path) -> None:
    def work() -> None:
        (container / "cgroup.procs").write_text(str(os.getpid()))
        read_fd, write_fd = os.pipe()
        os.write(write_fd, b"x" * 23)
        os.read(read_fd, 23)

    storage = tmp_path / "storage"
    state.podman(storage)
    storage.chmod(0o700)
    port = free_port()
    command = [
        "unshare", "--mount", "sh", "-c",
        f'mount -t tmpfs none /run && mkdir /run/containers && cp -a {storage} /run/containers/'
        ' && exec "$@"', "sh",
        sys.executable, "-m", "fdscope", "exporter", f"--web.listen-address=127.0.0.1:{port}",
        "--units.read-state", "--privileges.user=nobody",
    ]  # fmt: skip
    labels = {
        "unit": state.PODMAN[:12],
        "runtime": "podman",
        "container": "web",
        "container_id": state.PODMAN,
        "image": "localhost/demo:1",
        "pod": "shop",
        "pod_uid": state.PODMAN_POD,
    }
    with (tmp_path / "log").open("w") as log:
        exporter = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        wait_for(port, "fdscope_build_info", exporter)
        with alive(work):
            text = wait_for(port, 'container="web"', exporter)
        (line,) = re.findall(r'fdscope_unit_info\{(.*container="web".*)\} 1\.0', text)
        assert {name: value for name, value in re.findall(r'(\w+)="([^"]*)"', line) if value} == (
            labels
        )
        assert 'fdscope_container_lookups_total{result="found"}' in text
        read = rf'fdscope_file_read_bytes_total\{{.*fd_type="fifo".*unit="{labels["unit"]}"\}} 23'
        assert re.search(read, text)
    finally:
        exporter.terminate()
        exporter.wait(60)
