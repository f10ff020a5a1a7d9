# SPDX-License-Identifier: GPL-2.0-only
"""The table of hooks against the C programs: each hook has a program, and each is of its kind."""

import re

import pytest

from fdscope.probes.attach.source import PROGRAMS, joined
from fdscope.probes.hooks.table import HOOKS, Hook, Point, chosen, of_mode
from fdscope.probes.schema.taxonomy import Mode

KINDS = {
    "ON_RETURN": Point.RETURN,
    "ON_FIRST": Point.RETURN,
    "ON_FIRST_FD": Point.CALL,
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


@pytest.mark.parametrize("mode", Mode)
def test_each_hook_has_a_program_of_its_kind(mode: Mode) -> None:
    found = programs(mode)
    differs = {
        hook.function: f"{hook.point} in hooks/table.py, {found.get(hook.program)} in C"
        for hook in of_mode(mode)
        if found.get(hook.program) is not hook.point
    }
    assert not differs


def test_each_program_has_a_hook() -> None:
    hooked = {hook.function for hook in HOOKS}
    of_other_machines = re.compile("__(x64|ia32|ia32_compat|arm64)_sys_")
    unused = {
        name
        for mode in Mode
        for name in programs(mode)
        # A walk over a large table goes on in further programs of the same tracepoint.
        if name.removesuffix("_end") not in hooked and not of_other_machines.match(name)
    }
    assert not unused, "add a hook in probes/hooks/table.py, or remove the program"


def attached(mode: Mode, *absent: str) -> set[str]:
    """Names of the hooks that are chosen on a kernel that has all but some."""

    def has(hook: Hook) -> bool:
        return hook.function not in absent

    return {hook.function for hook in chosen(mode, has)}


ALTERNATIVES = [hook for hook in HOOKS if hook.alternative_to]


@pytest.mark.parametrize("hook", ALTERNATIVES, ids=lambda hook: hook.function)
def test_an_alternative_replaces_what_the_kernel_lacks(hook: Hook) -> None:
    (mode, *_) = hook.modes
    names = {each.function for each in of_mode(mode)}
    assert set(hook.alternative_to) <= names, "no hook of the mode has this name"
    assert hook.function not in attached(mode)
    assert hook.function not in attached(mode, *hook.alternative_to[1:])
    replaced = attached(mode, *hook.alternative_to)
    assert hook.function in replaced
    assert not replaced & set(hook.alternative_to)


def test_of_alternatives_that_are_all_absent_the_first_is_reported() -> None:
    assert {"alloc_fd", "__alloc_fd"} & attached(Mode.KPROBE, "alloc_fd", "__alloc_fd") == {
        "alloc_fd"
    }


def test_names_are_unique_in_each_mode() -> None:
    for mode in Mode:
        names = [hook.function for hook in of_mode(mode)]
        assert len(set(names)) == len(names)
