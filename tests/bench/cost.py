# SPDX-License-Identifier: GPL-2.0-only
"""``make vm-bench``: instructions that fdscope adds to an operation, as a table and as a gate.

``tests.bench.instructions`` counts them in the guests; here their reports are read. The recorded
figures are in ``instructions.json`` beside this file.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.vm.results import results_folder

_CHECKOUT = Path(__file__).parents[2]
_RECORDED = Path(__file__).with_name("instructions.json")
_WORSE = 1.03
"""More than 3 % above what is recorded fails."""
_THREADS = " +t"

Figures = Mapping[str, Mapping[str, float]]
"""State (``nothing``, ``hash``, ``fdscope``, ...) to operation to instructions."""


def _reports(names: list[str]) -> dict[str, Figures]:
    """Cell and mode (``6.12-fentry``) to the figures of its last run."""
    folder = results_folder(_CHECKOUT)
    found = sorted(folder.glob("*/instructions.json"))
    return {
        path.parent.name: json.loads(path.read_text())
        for path in found
        if not names or path.parent.name in names
    }


def _added(figures: Figures, state: str, operation: str) -> float | None:
    if state not in figures:
        return None
    return figures[state][operation] - figures["nothing"][operation]


def _table(name: str, figures: Figures) -> Iterator[str]:
    states = [state for state in figures if state != "nothing"]
    yield f"\n#### {name}\n"
    yield "| operation | nothing attached | " + " | ".join(states) + " | of the hash |"
    yield "|---" * (len(states) + 3) + "|"
    for operation in figures["nothing"]:
        added = {state: _added(figures, state, operation) or 0.0 for state in states}
        floor, ours = added.get("hash", 0.0), added.get("fdscope", 0.0)
        ratio = f"{ours / floor:.2f}" if floor > 1 and ours else ""
        cells = " | ".join(f"{added[state]:,.0f}" for state in states)
        yield f"| {operation} | {figures['nothing'][operation]:,.0f} | {cells} | {ratio} |"


def _worse(name: str, figures: Figures, recorded: Mapping[str, float]) -> Iterator[str]:
    """A line for each operation that costs more than is recorded."""
    for operation, limit in recorded.items():
        now = _added(figures, "fdscope", operation)
        if now is not None and now > limit * _WORSE + 1:
            yield f"{name}: {operation} takes {now:.0f} instructions more, recorded are {limit:.0f}"


def main() -> int:
    """Print the table; 1 if an operation is worse than recorded, unless ``--record`` is given."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.bench.cost", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="CELL-MODE", help="e.g. 6.12-fentry; or all")
    parser.add_argument("--record", action="store_true", help="write the figures as recorded")
    options = parser.parse_args()
    reports = _reports(options.names)
    recorded = json.loads(_RECORDED.read_text()) if _RECORDED.exists() else {}
    worse: list[str] = []
    for name, figures in reports.items():
        print(*_table(name, figures), sep="\n")
        worse += _worse(name, figures, recorded.get(name, {}))
        if "fdscope" in figures:
            recorded[name] = {
                operation: round(_added(figures, "fdscope", operation) or 0.0)
                for operation in figures["nothing"]
            }
    if options.record:
        _RECORDED.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")
        return 0
    print(*worse, sep="\n", file=sys.stderr)
    return 1 if worse or not reports else 0


if __name__ == "__main__":
    sys.exit(main())
