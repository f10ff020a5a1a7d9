# SPDX-License-Identifier: GPL-2.0-only
"""Watches where one process opens its descriptors, and names the stacks while it lives."""

import base64
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from fdscope.exporter.leaks import lines, python
from fdscope.exporter.leaks.image import JIT, Frame, Image
from fdscope.exporter.leaks.judge import Held, Judgement, Verdict, judge, least_growth
from fdscope.exporter.leaks.python import PythonFrame, PythonReader
from fdscope.exporter.leaks.unwind import unwind
from fdscope.exporter.spotlight.lens import OriginLens
from fdscope.exporter.spotlight.protocol import NoProcessError
from fdscope.probes.schema.files import Depth, Registers

Document = dict[str, Any]

_SHOWN_STACKS = 50
"""Stacks of which files and lines are looked up."""
_SHOWN_NAMES = 5
_ABANDONED = "close_wait"


@dataclass(frozen=True, slots=True)
class Place:
    """A call stack by name."""

    frames: tuple[Frame, ...]
    python: tuple[PythonFrame, ...]
    is_whole: bool

    @property
    def identity(self) -> tuple[Any, ...]:
        """What makes it another stack.

        Where an interpreter or compiler at run time is between, its own frames change as the code
        becomes hot: the functions of the program count, and the innermost one of all.
        """
        if self.python:
            return self.python
        of_program = [frame for frame in self.frames if frame.module == JIT and frame.function]
        return (*self.frames[:1], *of_program) if of_program else self.frames


@dataclass(slots=True)
class _Group:
    """Openings by one stack, of one fd type and in one way."""

    place: Place
    fd_type: str
    opened_by: str
    opened: int = 0
    open: list[Document] = field(default_factory=list)


class LeakWatch:
    """Watches one process through a lens; ``close()`` when done."""

    def __init__(self, lens: OriginLens, pid: int) -> None:
        """Begin; NoProcessError if it cannot be watched."""
        self.pid = pid
        try:
            self._image = Image(pid)
        except (OSError, ValueError, IndexError) as error:
            why = error.strerror if isinstance(error, OSError) else "it has ended"
            raise NoProcessError(f"{pid}: {why}") from error
        self._python: PythonReader | None = None
        self.notes: list[str] = []
        """What cannot be told of this process, and why."""
        try:
            self._begin(lens)
        except BaseException:
            self.close()
            raise
        self._places: dict[str, Place] = {}
        self._first: Document | None = None
        self._last: Document | None = None
        self._limit: int | None = None

    def _begin(self, lens: OriginLens) -> None:
        self._python, why_not = python.reader_of(self._image)
        if why_not:
            self.notes.append(why_not)
        interpreter = None
        if self._python:
            with suppress(OSError):
                interpreter = self._python.interpreter()
        # Each goroutine has a stack of its own, and Go always keeps frame pointers.
        is_go = self._image.has_section(b".gopclntab") or self._image.has_section(b".go.buildinfo")
        depth = Depth.IS_RANDOM if is_go else Depth.TELLS
        lens.watch_origins(self.pid, depth, interpreter)
        if not self._image.refresh():
            raise NoProcessError(f"{self.pid}: it has ended")

    def close(self) -> None:
        """Close what is open of the process; the lens ends the watching."""
        if self._python:
            self._python.close()
        self._image.close()

    def look(self, found: Document) -> bool:
        """Take in what a lens shows of this process; False once it has ended."""
        if self._first is None:
            self._first = found
        new = [each for each in found["origins"] if each["origin"] not in self._places]
        if new:
            self._image.refresh()
            for each in new:
                self._places[each["origin"]] = self._place(each)
        with suppress(OSError, ValueError):
            self._limit = _limit_of(self._image.proc)
        if found["ended"] and self._last is not None:
            # What was open at the last look: the end has closed it.
            found = {**found, "open": self._last["open"]}
        self._last = found
        return not found["ended"]

    def _place(self, origin: Document) -> Place:
        instruction, stack_pointer, frame, link, saved = origin["registers"]
        registers = Registers(instruction, stack_pointer, frame, link, tuple(saved))
        sample = base64.b64decode(origin["sample"])
        stack = unwind(self._image, registers, sample, origin["frames"])
        of_python = (
            self._python.frame(*each) if self._python else None for each in origin["python"]
        )
        return Place(
            tuple(
                self._image.frame(address - (number > 0))
                for number, address in enumerate(stack.addresses)
            ),
            tuple(each for each in of_python if each),
            stack.is_whole,
        )

    def report(self) -> Document:
        """What was seen, the stack that leaks on top."""
        if self._first is None or self._last is None:
            raise ValueError("there was no look yet")
        last, seconds = self._last, self._last["watched_seconds"]
        growth = _by_type(last["open"])
        for fd_type, count in _by_type(self._first["open"]).items():
            growth[fd_type] -= count
        rows = []
        for group in self._groups(last):
            held = [_held(each) for each in group.open]
            rows.append((group, judge(held, seconds, growth[group.fd_type])))
        rows.sort(key=_rank)
        shown = [frame for group, _ in rows[:_SHOWN_STACKS] for frame in group.place.frames]
        sources = lines.with_lines(self._image, shown)
        stays = sum(of.growth for _, of in rows)
        # One that was opened between the two readings of a look has no origin yet.
        at_first = {each["fd"] for each in self._first["open"]}
        before = [
            each for each in last["open"] if each["origin"] is None and each["fd"] in at_first
        ]
        is_leak = any(of.verdict is Verdict.SUSPECTED for _, of in rows)
        free = None if self._limit is None else max(self._limit - len(last["open"]), 0)
        return {
            "pid": self.pid,
            "process": last["process"],
            "ended": last["ended"],
            "seconds": seconds,
            "verdict": Verdict.SUSPECTED.value if is_leak else "no leak seen",
            "slowest_per_hour": _per_hour(least_growth(seconds)),
            "opened": sum(group.opened for group, _ in rows) + last["without_origin"],
            "open": len(last["open"]),
            "limit": self._limit,
            "growth_per_hour": _per_hour(stays),
            "seconds_to_limit": None if free is None or not stays else round(free / stays),
            "notes": self._all_notes(rows),
            "stacks": [_row(group, of, sources) for group, of in rows],
            "opened_without_stack": last["without_origin"],
            "open_before": _kinds(before),
        }

    def _all_notes(self, rows: list[tuple[_Group, Judgement]]) -> list[str]:
        notes = list(self.notes)
        frames = [frame for group, _ in rows for frame in group.place.frames]
        has_jit = any(_has_no_name(frame) for frame in frames)
        if has_jit and self._image.perf_map.why_not:
            notes.append(
                f"functions made at run time have no names: {self._image.perf_map.why_not}"
                " (node --perf-basic-prof, jcmd PID Compiler.perfmap and python -X perf write one)"
            )
        return notes

    def _groups(self, last: Document) -> Iterable[_Group]:
        groups: dict[tuple[Any, ...], _Group] = {}
        of_origin: dict[str, _Group] = {}
        for origin in last["origins"]:
            place = self._places[origin["origin"]]
            key = (*place.identity, origin["fd_type"], origin["opened_by"])
            group = groups.setdefault(key, _Group(place, origin["fd_type"], origin["opened_by"]))
            group.opened += origin["opened"]
            of_origin[origin["origin"]] = group
        for each in last["open"]:
            if each["origin"] in of_origin:
                of_origin[each["origin"]].open.append(each)
        return groups.values()


def _has_no_name(frame: Frame) -> bool:
    """True for code made at run time, and for the part of V8 that interprets functions."""
    is_interpreter = frame.function.startswith("Builtins_Interpreter")
    return is_interpreter or (frame.module == JIT and not frame.function)


def _by_type(open_now: Iterable[Document]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for each in open_now:
        counts[each["fd_type"]] += 1
    return counts


def _held(each: Document) -> Held:
    return Held(each["age_seconds"], each["idle_seconds"], each["state"] == _ABANDONED)


def _rank(row: tuple[_Group, Judgement]) -> tuple[bool, float, int, int]:
    """The fastest leak first, then what has most open."""
    group, of = row
    return of.verdict is not Verdict.SUSPECTED, -of.growth, -len(group.open), -group.opened


def _per_hour(each_second: float) -> float:
    return round(each_second * 3600, 1)


def _kinds(open_now: Iterable[Document]) -> list[Document]:
    """How many of each fd type and state, most first."""
    counts: dict[tuple[str, str | None], int] = defaultdict(int)
    for each in open_now:
        counts[each["fd_type"], each["state"]] += 1
    return [
        {"fd_type": fd_type, "state": state, "open": count}
        for (fd_type, state), count in sorted(counts.items(), key=lambda one: -one[1])
    ]


def _row(group: _Group, of: Judgement, sources: Mapping[Frame, Frame]) -> Document:
    ages = sorted(each["age_seconds"] for each in group.open)
    names: dict[str, int] = defaultdict(int)
    for each in group.open:
        names[_named(each, group.opened_by)] += 1
    often = sorted(names.items(), key=lambda one: -one[1])
    return {
        "verdict": of.verdict.value,
        "fd_type": group.fd_type,
        "opened_by": group.opened_by,
        "opened": group.opened,
        "closed": group.opened - len(group.open),
        "open": len(group.open),
        "youngest_seconds": ages[0] if ages else None,
        "oldest_seconds": ages[-1] if ages else None,
        "growth_per_hour": _per_hour(of.growth),
        "names": [{"name": name, "fds": count} for name, count in often[:_SHOWN_NAMES]],
        "other_names": max(len(often) - _SHOWN_NAMES, 0),
        "python": [
            {"function": each.function, "source": f"{each.file}:{each.line}"}
            for each in group.place.python
        ],
        "frames": [_frame(sources.get(each, each)) for each in group.place.frames],
        "is_whole": group.place.is_whole,
    }


_PORT = re.compile(r":\d+\Z")


def _named(each: Document, opened_by: str) -> str:
    """The name of an open file; of a connection without the port that is another each time."""
    name: str = each["name"] or "?"
    if each["state"]:
        local, arrow, remote = name.partition(" -> ")
        if arrow and opened_by == "accept":
            remote = _PORT.sub(":*", remote)
        elif arrow:
            local = _PORT.sub(":*", local)
        name = f"{local}{arrow}{remote} {each['state']}"
    return name


def _frame(frame: Frame) -> Document:
    return {
        "function": frame.function or None,
        "module": frame.module,
        "offset": hex(frame.inside if frame.function else frame.offset),
        "source": frame.source or None,
    }


def _limit_of(proc: int) -> int | None:
    """The soft limit on descriptors; None if there is none."""
    fd = os.open("limits", os.O_RDONLY, dir_fd=proc)
    with os.fdopen(fd, "rb") as file:
        for line in file:
            if line.startswith(b"Max open files"):
                soft = line.split()[3]
                return None if soft == b"unlimited" else int(soft)
    return None
