# SPDX-License-Identifier: GPL-2.0-only
"""A fleet on one machine: ``python -m tests.fleet --hosts 50 [--seconds N]`` (``make fleet``).

One real exporter and so many played hosts (``tests.fleet.hosts``), a Prometheus in agent mode, and
a second Prometheus that receives, keeps and evaluates, both with the configuration of
``deploy/fleet``. As root, because the real exporter attaches probes. At the end, or at Ctrl-C, it
prints what it cost.
"""

import argparse
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import median

import yaml

from tests.dashboards.made import DASHBOARDS, panels
from tests.dashboards.prometheus import filled_in, free_port, get, instant
from tests.fleet.hosts import recording, serving
from tests.paths import DEPLOY, ROOT

_RECORDED_SECONDS = 20.0
_READY_SECONDS = 600
_DAY = 86_400


@contextmanager
def _running(name: str, folder: Path, *command: str) -> Iterator["subprocess.Popen[bytes]"]:
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def _page(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as page:
        return str(page.read().decode())


def _wait_until_ready(port: int, process: "subprocess.Popen[bytes]", path: str) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError):
            _page(port, path)
            return
        if process.poll() is not None:
            break
        time.sleep(0.5)
    sys.exit(f"it does not start: {' '.join(map(str, process.args))}")  # type: ignore[arg-type]


def _configured(name: str, folder: Path, central: int) -> Path:
    """A file of deploy/fleet with the ports of this run."""
    text = (DEPLOY / f"fleet/{name}.yml").read_text()
    text = text.replace("127.0.0.1:9090", f"127.0.0.1:{central}")
    text = text.replace("../rules/", f"{DEPLOY}/rules/").replace("hosts/*", f"{folder}/hosts/*")
    file = folder / f"{name}.yml"
    file.write_text(text)
    return file


def _agent_flag() -> str:
    told = subprocess.run(["prometheus", "--version"], capture_output=True, text=True, check=True)
    return "--enable-feature=agent" if " 2." in told.stdout.splitlines()[0] else "--agent"


def _write_targets(folder: Path, count: int, exporter: int, generator: int) -> None:
    (folder / "hosts").mkdir()
    played = [
        {
            "targets": [f"127.0.0.1:{generator}"],
            "labels": {"__metrics_path__": f"/hosts/{n}/metrics", "instance": f"host-{n:05}"},
        }
        for n in range(1, count + 1)
    ]
    real = {"targets": [f"127.0.0.1:{exporter}"], "labels": {"instance": "real"}}
    (folder / "hosts/all.yml").write_text(yaml.safe_dump([real, *played]))


def _one(port: int, expression: str) -> float:
    result = instant(port, expression)["result"]
    return float(result[0]["value"][1]) if result else float("nan")


def _resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1000


def _cpu_share(pid: int) -> float:
    """Processors that a process has used since its start, on average."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    used = (int(fields[11]) + int(fields[12])) / ticks
    return used / (time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / ticks)


def _panel_seconds(port: int) -> list[tuple[float, str]]:
    """Seconds that Prometheus takes for each panel of the fleet dashboard, slowest first.

    infinity for one that it does not answer within half a minute.
    """
    taken = []
    now = time.time()
    for panel in panels(DASHBOARDS["fleet"]):
        began = time.perf_counter()
        try:
            for target in panel.get("targets", ()):
                query = filled_in(target["expr"])
                if target["instant"]:
                    instant(port, query)
                else:
                    get(
                        port, "/api/v1/query_range", query=query, start=now - 3600, end=now, step=15
                    )
        except TimeoutError:
            began = -math.inf
        taken.append((time.perf_counter() - began, panel["title"]))
    return sorted(taken, reverse=True)


def _report(hosts: int, seconds: float, central: int, pids: tuple[int, int], folder: Path) -> None:
    window = f"{max(int(min(seconds, 300)) // 15 * 15, 60)}s"
    rate = _one(central, f"rate(prometheus_tsdb_head_samples_appended_total[{window}])")
    blocks = sum(f.stat().st_size for f in (folder / "central").rglob("*") if f.is_file())
    up = _one(central, 'sum(up{job="fdscope"})')
    groups = instant(central, "prometheus_rule_group_last_duration_seconds")["result"]
    print(f"hosts                        {hosts} played and 1 real; {up:.0f} answer")
    print(f"series in the engine         {_one(central, 'prometheus_tsdb_head_series'):.0f}")
    print(f"samples a second             {rate:.0f}")
    for name, pid in zip(("agent", "engine"), pids, strict=True):
        cost = f"{_resident_mb(pid):.0f} MB, {_cpu_share(pid):.2f} processors"
        print(f"{name:28} {cost}")
    print(
        f"disk of the engine, MB       {blocks / 1e6:.0f} after {seconds:.0f} s (uncompressed log)"
    )
    for group in groups:
        name = group["metric"]["rule_group"].rpartition(";")[2]
        print(f"rules {name:22} {float(group['value'][1]):.3f} s")
    slowest = _panel_seconds(central)
    print(f"panels, median               {median(each for each, _ in slowest):.3f} s")
    for taken, title in slowest[:5]:
        print(f"panel {title:40} {taken:.3f} s")


def main() -> int:
    """Run until Ctrl-C or for some seconds; the exit status."""
    parser = argparse.ArgumentParser("python -m tests.fleet")
    parser.add_argument("--hosts", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=0, help="0: until Ctrl-C")
    parser.add_argument("--cut", type=int, default=0, help="stop the engine for so many seconds")
    given = parser.parse_args()
    if os.geteuid():
        sys.exit("fleet: the real exporter attaches probes: run it as root (sudo make fleet)")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fdscope-fleet-")))
        exporter, agent, central = free_port(), free_port(), free_port()
        real = stack.enter_context(
            _running("exporter", folder, sys.executable, "-m", "fdscope", "exporter",
                     f"--web.listen-address=127.0.0.1:{exporter}")
        )  # fmt: skip
        _wait_until_ready(exporter, real, "/-/ready")
        first = _page(exporter, "/metrics")
        time.sleep(_RECORDED_SECONDS)
        lines = recording(first, _page(exporter, "/metrics"), _RECORDED_SECONDS)
        generator = stack.enter_context(serving(lines, given.hosts))
        _write_targets(folder, given.hosts, exporter, generator)
        engine_command = (
            "prometheus", f"--config.file={_configured('prometheus', folder, central)}",
            f"--storage.tsdb.path={folder / 'central'}", "--web.enable-remote-write-receiver",
            f"--web.listen-address=127.0.0.1:{central}",
        )  # fmt: skip
        engine = stack.enter_context(ExitStack())
        process = engine.enter_context(_running("central", folder, *engine_command))
        _wait_until_ready(central, process, "/-/ready")
        agent_process = stack.enter_context(
            _running("agent", folder, "prometheus", _agent_flag(),
                     f"--config.file={_configured('agent', folder, central)}",
                     f"--storage.agent.path={folder / 'agent'}",
                     f"--web.listen-address=127.0.0.1:{agent}")
        )  # fmt: skip
        print(f"{len(lines)} lines a scrape; agent http://127.0.0.1:{agent}")
        print(f"engine http://127.0.0.1:{central}: the data source for the dashboard Fleet")
        began = time.monotonic()
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            if given.cut:
                time.sleep(given.seconds / 2)
                engine.close()
                time.sleep(given.cut)
                process = engine.enter_context(_running("central", folder, *engine_command))
                _wait_until_ready(central, process, "/-/ready")
            time.sleep(given.seconds / 2 if given.cut else given.seconds or 1 << 30)
        seconds = time.monotonic() - began
        if given.cut:
            kept = _one(central, "count_over_time(up{instance='host-00005'}[1h])")
            print(f"scrapes of one host kept     {kept:.0f} of {seconds / 15:.0f}")
        _report(given.hosts, seconds, central, (agent_process.pid, process.pid), folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
