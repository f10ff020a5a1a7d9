# SPDX-License-Identifier: GPL-2.0-only
"""The table of hooks against the C programs: each hook has a program, and each is of its kind."""

import re
from collections.abc import Iterator

import pytest

from fdscope.probes.attach.source import PROGRAMS, joined
from fdscope.probes.hooks.table import CHOICES, Hook, Point
from fdscope.probes.schema.taxonomy import Mode

KINDS = {
    "ON_RETURN": Point.RETURN,
    "ON_CALL": Point.CALL,
    "ON_FD_RETURN": Point.CALL,
    "ON_RESULT": Point.RESULT,
    "ON_ENTRY": Point.ENTRY,
    "ON_TRACEPOINT": Point.RAW_TRACEPOINT,
}
# A macro of one file that stands for one of these: ON_SENDMSG(fn) is ON_RETURN(fn) and a body.
_STANDS_FOR = re.compile(r"^#define (ON_\w+)\(fn\)\s*\\\n\s*(ON_\w+)\(fn\b", re.MULTILINE)
_PROGRAM = re.compile(r"^(ON_\w+)\((\w+)", re.MULTILINE)
_RAW_TRACEPOINT = re.compile(
    r"^int on_(s(?:ys|ched)_\w+)\(struct bpf_raw_tracepoint_args", re.MULTILINE
)


def programs(mode: Mode) -> dict[str, Point]:
    """Function or tracepoint to the kind of its program, in the C text of the mode."""
    text = joined(PROGRAMS[mode])
    kinds = dict(KINDS)
    kinds |= {name: kinds[other] for name, other in _STANDS_FOR.findall(text) if name not in kinds}
    found = {function: kinds[macro] for macro, function in _PROGRAM.findall(text)}
    return found | dict.fromkeys(_RAW_TRACEPOINT.findall(text), Point.RAW_TRACEPOINT)


def hooks(mode: Mode) -> Iterator[Hook]:
    return (hook for choice in CHOICES[mode] for some in choice.candidates for hook in some)


@pytest.mark.parametrize("mode", Mode)
def test_each_hook_has_a_program_of_its_kind(mode: Mode) -> None:
    found = programs(mode)
    differs = {
        hook.function: f"{hook.point} in hooks/table.py, {found.get(hook.function)} in C"
        for hook in hooks(mode)
        if found.get(hook.function) is not hook.point
    }
    assert not differs


def test_each_program_has_a_hook() -> None:
    hooked = {hook.function for mode in Mode for hook in hooks(mode)}
    of_other_machines = re.compile("__(x64|ia32|ia32_compat|arm64)_sys_")
    unused = {
        name
        for mode in Mode
        for name in programs(mode)
        # A walk over a large table goes on in further programs of the same tracepoint.
        if name.removesuffix("_end") not in hooked and not of_other_machines.match(name)
    }
    assert not unused, "add a hook in probes/hooks/table.py, or remove the program"
