# SPDX-License-Identifier: GPL-2.0-only
"""Command line: ``python -m tests.scorecard run`` or ``table``."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from fdscope.probes.attach.launch import AttachError
from fdscope.probes.attach.settings import Settings
from fdscope.probes.read.session import Session, attach
from fdscope.probes.schema.taxonomy import Mode
from tests.paths import ROOT
from tests.scorecard import load, results, runner, table
from tests.scorecard.model import Verdict
from tests.scorecard.places import places
from tests.scorecard.programs import build
from tests.scorecard.scenarios import SCENARIOS
from tests.scorecard.served import served


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    top = argparse.ArgumentParser(prog="python -m tests.scorecard", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run all scenarios here, in each mode that attaches")
    run.add_argument("--modes", default=",".join(m.value for m in Mode), metavar="MODE,...")
    run.add_argument("--only", default="", metavar="TEXT", help="scenarios whose name has it")
    run.add_argument("--scale", type=float, default=float(os.environ.get("FDSCOPE_SCALE", "1")))
    run.add_argument("--out", type=Path, default=results.FOLDER, help="folder for the results")
    run.add_argument("--json", action="store_true", help="print the results as JSON")
    for name, births, about in (
        ("load", 0, "totals under load, beside the real exporter"),
        ("soak", 200, "load and processes that come and go"),
    ):
        long = commands.add_parser(name, help=about)
        long.add_argument("--mode", default="auto", metavar="MODE")
        long.add_argument("--minutes", type=float, default=3.0)
        long.add_argument("--operations", type=int, default=40_000, help="a second")
        long.add_argument("--births", type=int, default=births, help="processes a second")
        long.add_argument("--every", type=float, default=5.0, help="seconds between scrapes")
        long.add_argument("--out", type=Path, default=results.FOLDER, help="folder for the result")
        long.add_argument("--json", action="store_true", help="print the result as JSON")
    show = commands.add_parser("table", help="the page of the documentation, from all results")
    show.add_argument("--out", type=Path, help="file to write instead of printing")
    return top


def say(text: str) -> None:
    """Print progress."""
    sys.stderr.write(f"{text}\n")


def perform(session: Session, only: str, scale: float) -> results.Run:
    """All scenarios under one session."""
    verdicts: list[Verdict] = []
    with places() as made:
        for scenario in SCENARIOS:
            if only.lower() in scenario.name.lower():
                verdicts.append(runner.run(scenario, session, scale, made))
                say(table.verdict_text(verdicts[-1]))
    return results.of_session(session, scale, verdicts)


def run(arguments: argparse.Namespace) -> int:
    """Run the scorecard; 1 if something is not exact, 2 if no mode attaches."""
    if os.geteuid() != 0:
        say("error: probes need root: run it with sudo")
        return 2
    build(platform.machine())
    runs = []
    for mode in map(Mode, arguments.modes.split(",")):
        try:
            session = attach([mode], Settings())
        except AttachError as error:
            say(f"{mode.value} mode cannot be attached here: {str(error).splitlines()[0]}")
            continue
        say(f"--- {mode.value} mode on {platform.release()}")
        try:
            runs.append(perform(session, arguments.only, arguments.scale))
        finally:
            session.close()
        results.save(runs[-1], arguments.out)
        say(table.summary(runs[-1]))
    if arguments.json:
        json.dump([asdict(found) for found in runs], sys.stdout, indent=1)
    if not runs:
        say("error: no mode could be attached: see fdscope doctor")
        return 2
    return 0 if all(found.passed for found in runs) else 1


def run_long(arguments: argparse.Namespace) -> int:
    """Run the load test or the soak; 1 if something is not exact, lost or growing."""
    build(platform.machine())
    size = load.Size(
        seconds=arguments.minutes * 60,
        operations=arguments.operations,
        births=arguments.births,
        every=arguments.every,
    )
    with served(arguments.mode) as exporter:
        result = load.run(exporter, size)
    wrong = load.complaints(result.samples)
    say(load.text(result, wrong))
    arguments.out.mkdir(parents=True, exist_ok=True)
    name = f"{arguments.command}-{platform.release()}-{result.mode}.json"
    what = {"test": arguments.command, "kernel": platform.release(), "growing": wrong}
    report = json.dumps(what | result.as_dict(), indent=1)
    (arguments.out / name).write_text(f"{report}\n")
    if arguments.json:
        sys.stdout.write(f"{report}\n")
    return 0 if result.passed and not wrong else 1


def show(arguments: argparse.Namespace) -> int:
    """Print or write the page."""
    folders = [results.FOLDER, ROOT / "build/vm"]
    text = table.page(results.load_all(folders), results.long_tests(folders))
    if arguments.out:
        arguments.out.write_text(text)
    else:
        sys.stdout.write(text)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command."""
    arguments = parser().parse_args(argv)
    commands = {"run": run, "load": run_long, "soak": run_long, "table": show}
    return commands[arguments.command](arguments)


if __name__ == "__main__":
    sys.exit(main())
