# SPDX-License-Identifier: GPL-2.0-only
"""``make bench``: figures as Markdown, from one run on this machine."""

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from probes.taxonomy import Mode
from tests.bench.census import census
from tests.bench.overhead import overhead
from tests.bench.scrape import map_reading, pss_megabytes, scrape_of_series

_PORT = 20263


def exporter_memory(mode: Mode) -> list[str]:
    """Markdown rows: PSS of an exporter after some scrapes."""
    command = [
        str(Path(sys.executable).with_name("fdscope")), "exporter", f"--probe.mode={mode.value}",
        f"--web.listen-address=127.0.0.1:{_PORT}",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{_PORT}/metrics"
    exporter = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        scrapes = 0
        while scrapes < 20 and time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(url) as answer:
                    scrapes += bool(answer.read())
            except OSError:
                time.sleep(0.5)
        return [f"| {scrapes} | {pss_megabytes(exporter.pid):.1f} |"]
    finally:
        exporter.send_signal(signal.SIGTERM)
        exporter.wait()


def table(title: str, header: str, rows: list[str]) -> None:
    """Print a Markdown table."""
    rule = "|" + "---|" * (header.count("|") - 1)
    print(f"\n### {title}\n\n{header}\n{rule}", *rows, sep="\n", flush=True)


def main() -> None:
    """Run all benchmarks in the mode of the first argument."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--mode", type=Mode, choices=list(Mode), default=Mode.TRACEPOINT)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(
        f"Linux {platform.release()}, {os.cpu_count()} CPUs, {options.mode.value} mode,"
        f" median of {options.rounds} rounds"
    )
    with tempfile.TemporaryDirectory() as directory:
        table(
            "Nanoseconds added to a one-byte system call",
            "| call | without | one increment adds | fdscope adds | ratio |",
            overhead(options.mode, Path(directory), options.rounds),
        )
    table(
        "Reading 10 000 entries of a per-CPU map",
        "| BCC items(), ms | in batches, ms | ratio |",
        map_reading(),
    )
    table(
        "A scrape of 10 000 series, maps apart",
        "| series | ms | µs a series | peak of Python memory, MB |",
        scrape_of_series(),
    )
    table(
        "The census of open fds, and scrapes that show it",
        "| host | processes | fds | census, ms of CPU | census, ms | series | scrape, ms of CPU |",
        list(census(options.mode)),
    )
    table("Memory of the exporter", "| scrapes | PSS, MB |", exporter_memory(options.mode))


if __name__ == "__main__":
    main()
