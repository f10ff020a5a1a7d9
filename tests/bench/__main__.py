# SPDX-License-Identifier: GPL-2.0-only
"""``make bench``: figures as Markdown, from one run on this machine."""

import argparse
import os
import platform
import tempfile
from pathlib import Path

from fdscope.probes.schema.taxonomy import Mode
from tests.bench import exporter
from tests.bench.census import census
from tests.bench.overhead import overhead
from tests.bench.scrape import map_reading, scrape_of_series


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
        "A whole scrape of 10 000 series",
        "| series | grown since the last | ms of CPU | µs a series |",
        scrape_of_series(),
    )
    table(
        "The census of open fds, and scrapes that show it",
        "| host | processes | fds | census, ms of CPU | census, ms | series | scrape, ms of CPU |",
        list(census(options.mode)),
    )
    table(
        "An exporter beside many processes",
        "| processes | series | MB | scrape, s | scrape, ms of CPU"
        " | while nobody asks, ms of CPU a second | PSS, MB |",
        exporter.crowd(options.mode),
    )
    table(
        "From the start to the first scrape, s of CPU",
        "| programs | exporter | its children | all |",
        exporter.start(options.mode),
    )
    table("Memory of the exporter", "| scrapes | PSS, MB |", exporter.memory(options.mode))
    table(
        "The exporter while nobody scrapes",
        "| entries of the map of counters | ms of CPU a second |",
        exporter.idle(options.mode),
    )


if __name__ == "__main__":
    main()
