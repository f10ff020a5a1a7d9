# SPDX-License-Identifier: GPL-2.0-only
"""What ``fdscope leaks`` has seen, as text."""

from collections.abc import Iterator
from typing import Any

from fdscope.exporter.leaks.image import JIT
from fdscope.exporter.spotlight.report import duration, number

Document = dict[str, Any]

_STACKS, _OTHERS, _FRAMES, _NAME = 5, 2, 20, 80
"""What the text shows; --json has all."""


def text(report: Document) -> str:
    """The report for people."""
    return "\n\n".join("\n".join(_process(each, report["mode"])) for each in report["processes"])


def _process(process: Document, mode: str) -> Iterator[str]:
    ended = "; it has ended" if process["ended"] else ""
    yield (
        f"{process['process']} (pid {process['pid']}): {process['verdict']} in"
        f" {duration(process['seconds'])} ({mode} mode){ended}"
    )
    yield f"  {_numbers(process)}"
    yield f"  {_outlook(process)}"
    for kind in process["open_before"][:3]:
        state = f" {kind['state']}" if kind["state"] else ""
        yield f"  open before: {number(kind['open'])} {kind['fd_type']}{state}"
    shown = _shown(process["stacks"])
    for place, row in enumerate(shown, 1):
        yield ""
        yield from _stack(place, row)
    left = len(process["stacks"]) - len(shown)
    if left > 0:
        yield f"\n  and {number(left)} more stacks (see --json)"
    if process["opened_without_stack"]:
        lost = number(process["opened_without_stack"])
        yield f"\n  {lost} descriptors have no stack: a map was full"
    for note in process["notes"]:
        yield f"\n  note: {note}"


def _shown(stacks: list[Document]) -> list[Document]:
    """Those that leak, and some others: fewer if there are some that leak."""
    leaks = [row for row in stacks if row["growth_per_hour"]][:_STACKS]
    return leaks + stacks[len(leaks) :][: _OTHERS if leaks else _STACKS]


def _numbers(process: Document) -> str:
    limit = "no limit" if process["limit"] is None else f"a limit of {number(process['limit'])}"
    closed = process["opened"] - sum(row["open"] for row in process["stacks"])
    return (
        f"{number(process['opened'])} descriptors opened, {number(max(closed, 0))} of them closed;"
        f" {number(process['open'])} open now, {limit}"
    )


def _outlook(process: Document) -> str:
    if not process["growth_per_hour"]:
        slowest = number(round(process["slowest_per_hour"]))
        return f"a leak of less than some {slowest} an hour would not show in this time"
    grows = f"{number(round(process['growth_per_hour']))} an hour stay open"
    left = process["seconds_to_limit"]
    return f"{grows}: " + (
        "there is no limit" if left is None else f"the limit is {_in(left)} away"
    )


def _in(seconds: float) -> str:
    if seconds < 172_800:
        return duration(seconds)
    return f"{number(round(seconds / 86_400))} days"


def _stack(place: int, row: Document) -> Iterator[str]:
    how = "" if row["opened_by"] == "other" else f" by {row['opened_by']}"
    head = (
        f"  {place}. {row['verdict']}: {row['fd_type']}{how}: {number(row['opened'])} opened,"
        f" {number(row['closed'])} closed, {number(row['open'])} open"
    )
    if row["open"]:
        head += f" for {duration(row['youngest_seconds'])} to {duration(row['oldest_seconds'])}"
    if row["growth_per_hour"]:
        head += f"; {number(round(row['growth_per_hour']))} an hour stay"
    yield head
    for each in row["python"]:
        yield f"       {each['function']}  {each['source']}"
    if not row["python"]:
        yield from _frames(row)
    for name in row["names"][:3]:
        times = f" ({number(name['fds'])} times)" if name["fds"] > 1 else ""
        yield f"     > {name['name']}{times}"
    others = row["other_names"] + max(len(row["names"]) - 3, 0)
    if others:
        yield f"     > and {number(others)} other names"


def _frames(row: Document) -> Iterator[str]:
    frames = row["frames"]
    if not frames:
        yield "       (no stack: the kernel could not read it)"
    for frame in frames[:_FRAMES]:
        yield f"       {_function(frame)}"
    if len(frames) > _FRAMES:
        yield f"       and {len(frames) - _FRAMES} more"
    elif frames and not row["is_whole"]:
        yield "       (further callers are not known: no frame pointers, or a deep stack)"


def _function(frame: Document) -> str:
    if not frame["function"]:
        return f"{frame['module']}+{frame['offset']}"
    name, where = frame["function"], frame["source"] or frame["module"]
    if len(name) > _NAME:
        name = name[: _NAME - 3] + "..."
    return (
        f"{name}  {where}"
        if frame["source"] or frame["module"] == JIT
        else (f"{name}+{frame['offset']}  {where}")
    )
